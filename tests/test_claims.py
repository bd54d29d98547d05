"""The claims: their statistics against plain arithmetic, and verdicts that few seeds can't give."""

import math

import pytest

from conftest import small_run
from lr_ceiling.claims import (
    Runs,
    better,
    claims_of,
    faster,
    faster_at_best,
    higher,
    median_interval,
    step_ratios,
)
from lr_ceiling.runs import Estimate, Ratio


def runs(*steps: int | None, **changes: object) -> Runs:
    return [small_run(seed=seed, steps_to_95=one, **changes) for seed, one in enumerate(steps)]


def test_step_ratios_are_paired_by_seed_and_know_never() -> None:
    baseline = runs(400, None, 300, None)
    batchnorm = [run.model_copy() for run in reversed(runs(200, 100, None, None))]
    assert sorted(step_ratios(baseline, batchnorm)) == [0, 2, math.inf]


@pytest.mark.parametrize("n", range(6))
def test_five_values_are_too_few_for_the_median(n: int) -> None:
    assert median_interval([float(i) for i in range(n)]) == (None, None)


def test_the_interval_of_the_median_knows_infinity() -> None:
    assert median_interval([1.0, 2.0, 3.0, *[math.inf] * 5]) == (1.0, math.inf)


@pytest.mark.parametrize(("n", "outside"), [(6, 0), (8, 0), (9, 1), (12, 2), (20, 5)])
def test_how_many_values_the_interval_leaves_out(n: int, outside: int) -> None:
    # Tables of the sign test: for 12 values the third and the tenth.
    assert median_interval([float(i) for i in range(n)]) == (outside, n - 1 - outside)


def test_batch_norm_is_faster_where_all_pairs_say_so() -> None:
    baseline = {0.001: runs(400, 420, 380, 390), 0.01: runs(None, None, None, None)}
    batchnorm = {0.001: runs(200, 210, 190, 195), 0.01: runs(300, 300, 300, 300)}
    claim = faster("relu", baseline, batchnorm)
    assert (claim.id, claim.verdict, claim.n) == ("faster-relu", "supported", 8)
    assert claim.ci95[0] == pytest.approx(2, rel=0.01)
    assert claim.ci95[1] is None
    assert claim.estimate is None
    assert faster("relu", batchnorm, baseline).verdict == "not supported"


def test_four_seeds_say_nothing_of_the_fastest_rates() -> None:
    baseline = {0.001: runs(400, 420, 380, 390), 0.01: runs(None, None, None, None)}
    batchnorm = {0.001: runs(200, 210, 190, 195), 0.01: runs(300, 300, 300, 300)}
    claim = faster_at_best("relu", baseline, batchnorm)
    assert claim.verdict == "inconclusive"
    assert claim.estimate == pytest.approx(2, rel=0.01)
    assert "0.001 gets to 95%" in claim.statement
    assert claim.ci95 == (None, None)


def accurate(*accuracies: float, validation: float = 0.9) -> Runs:
    return [
        small_run(seed=seed, test_accuracy=one, validation_accuracy=validation)
        for seed, one in enumerate(accuracies)
    ]


def test_better_is_judged_where_validation_chooses() -> None:
    baseline = {0.001: accurate(0.97, 0.972, 0.971), 0.01: accurate(0.99, 0.99, 0.99, validation=0)}
    batchnorm = {0.001: accurate(0.98, 0.982, 0.981)}
    claim = better("relu", baseline, batchnorm)
    assert claim.verdict == "supported"
    assert claim.estimate == pytest.approx(0.01)
    assert claim.n == 3


def test_a_tenth_of_a_point_is_no_difference() -> None:
    same = {0.001: accurate(0.98, 0.98, 0.98)}
    little = {0.001: accurate(0.9805, 0.9806, 0.9805)}
    assert better("relu", same, little).verdict == "not supported"


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((2.0, 9.0), "supported"),
        ((2.0, None), "supported"),
        ((0.5, 2.0), "inconclusive"),
        ((0.1, 0.5), "not supported"),
        ((None, None), "inconclusive"),
    ],
)
def test_higher_learning_rates_follow_from_the_ratio(
    ci95: tuple[float | None, float | None], verdict: str
) -> None:
    estimate = Estimate(estimate=None, ci95=ci95)
    claim = higher(Ratio(activation="relu", lr50=estimate, lr90=estimate))
    assert (claim.verdict, claim.ci95) == (verdict, ci95)


def test_an_activation_has_its_claims_once_both_variants_ran() -> None:
    four = runs(1, 2, 3, 4)
    assert claims_of({("baseline", "relu", 0.001): four}, []) == []
    both = claims_of({("baseline", "relu", 0.1): four, ("batchnorm", "relu", 0.1): four}, [])
    assert [claim.id for claim in both] == [
        "faster-relu", "faster-at-best-relu", "better-results-relu",
    ]  # fmt: skip
