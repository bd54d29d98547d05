"""Results don't depend on how many threads linear algebra would take."""

import numpy as np
from scipy.special import expit
from threadpoolctl import threadpool_info, threadpool_limits

from lr_ceiling.search import usable
from lr_ceiling.search.threads import one_thread
from lr_ceiling.search.usable import Response, Scored, usable_us


def test_inside_there_is_one_thread_and_outside_what_there_was() -> None:
    def counts() -> set[int]:
        return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}

    with threadpool_limits(limits=2, user_api="blas"):
        assert one_thread(counts)() == {1}
        assert counts() == {2}


def test_the_answer_is_the_same_for_any_number_of_threads() -> None:
    """OpenBLAS's sums are not: with two threads a Cholesky factor differs."""
    us = np.linspace(-5.5, -1.2, 25)
    scored = [Scored(float(u), float(expit(4 - 2 * max(u + 2, 0)))) for u in us]
    answers = []
    for threads in (1, 2):
        usable._prior_draws.cache_clear()
        with threadpool_limits(limits=threads, user_api="blas"):
            answers.append(
                usable_us(Response(scored, -6.0, 2.0), np.linspace(-1.2, -1.0, 50), 0.01)
            )
    one, two = answers
    assert np.array_equal(one, two)
