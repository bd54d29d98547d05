"""What a problem returns, and what it means."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.outcome import Outcome, outcome_of


@pytest.mark.parametrize("returned", [True, np.True_], ids=["bool", "numpy"])
def test_a_bool_says_whether_the_run_was_stable(returned: object) -> None:
    assert outcome_of(returned, None, "max") == Outcome(stable=True)
    assert outcome_of(not returned, 0.9, "max").label == "failed"


@given(score=st.floats(allow_nan=False, allow_infinity=False), target=st.floats(-1e9, 1e9))
def test_a_score_is_held_against_the_target(score: float, target: float) -> None:
    most, least = outcome_of(score, target, "max"), outcome_of(np.float64(score), target, "min")
    assert most.score == least.score == score
    assert most.stable == (score >= target)
    assert least.stable == (score <= target)
    assert most.stable or least.stable
    assert {most.label, least.label} <= {"stable", "slow"}


@pytest.mark.parametrize("returned", [math.nan, math.inf, -math.inf, np.array(np.nan)])
def test_what_is_not_finite_is_a_failure_in_both_modes(returned: float) -> None:
    for mode in ("max", "min"):
        outcome = outcome_of(returned, 0.5, mode)
        assert (outcome.stable, outcome.score, outcome.label) == (False, None, "diverged")


def test_an_outcome_is_taken_as_it_is() -> None:
    outcome = Outcome(stable=True, score=0.4, cost=0.5, label="odd")
    assert outcome_of(outcome, 0.9, "max") is outcome


@pytest.mark.parametrize("returned", [None, "0.9", [0.1, 0.9], {"score": 1}], ids=str)
def test_anything_else_is_refused(returned: object) -> None:
    with pytest.raises(ProblemError, match=r"the problem returned .*: return a bool, a score, or"):
        outcome_of(returned, 0.9, "max")
