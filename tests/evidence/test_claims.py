"""The claims: their statistics against plain arithmetic, and verdicts that few seeds can't give."""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from conftest import ROOT, small_run
from lr_ceiling.evidence.claims import (
    Runs,
    better,
    bias_unnecessary,
    claims_of,
    easier_initialisation,
    faster,
    faster_at_best,
    higher,
    median_interval,
    more_activations,
    not_above,
    p_of_median,
    step_ratios,
    subject_of,
    viability,
)
from lr_ceiling.evidence.records import Claim, Ratio, Viability
from lr_ceiling.pipeline import params
from lr_ceiling.report.schemas import ClaimsReport, ComparisonReport
from lr_ceiling.search.estimates import Estimate
from lr_ceiling.search.posterior import Floats


def runs(*steps: int | None, **changes: object) -> Runs:
    return [small_run(seed=seed, steps_to_95=one, **changes) for seed, one in enumerate(steps)]


def test_claims_are_about_the_grid_and_what_its_runs_share() -> None:
    grid = params.load(ROOT / "params.yaml").grid
    wider = grid.model_copy(update={"learning_rates": (*grid.learning_rates, 0.003)})
    spec, longer, other_seed = (
        small_run(**changes).spec for changes in ({}, {"epochs": 2}, {"seed": 7})
    )
    subject = subject_of(spec, grid)
    assert subject == subject_of(other_seed, grid)
    assert len({subject, subject_of(spec, wider), subject_of(longer, grid)}) == 3


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


def test_batch_norm_is_faster_where_all_pairs_say_so_at_each_learning_rate() -> None:
    baseline = {0.001: runs(400, 420, 380, 390, 400, 400), 0.01: runs(*[None] * 6)}
    batchnorm = {0.001: runs(200, 210, 190, 195, 200, 200), 0.01: runs(*[300] * 6)}
    low, high = faster("relu", baseline, batchnorm)
    assert (low.id, low.verdict, low.n) == ("faster-relu-0.001", "supported", 6)
    assert (high.id, high.verdict, high.n) == ("faster-relu-0.01", "supported", 6)
    assert low.estimate == pytest.approx(2, rel=0.01)
    assert "at learning rate 0.001" in low.statement
    # Where the baseline never gets there, no number of times is known.
    assert (high.estimate, high.ci95) == (None, (None, None))
    # Of six signs all are on one side: twice one in 64.
    assert low.p_value == high.p_value == pytest.approx(2 / 64, rel=0.01)
    against = faster("relu", batchnorm, baseline)
    assert [claim.verdict for claim in against] == ["not supported"] * 2


def test_two_learning_rates_are_not_twice_as_many_seeds() -> None:
    """Pooled, four seeds at two rates passed for eight independent pairs, and decided."""
    four = {0.001: runs(400, 420, 380, 390), 0.01: runs(400, 420, 380, 390)}
    quicker = {0.001: runs(200, 210, 190, 195), 0.01: runs(200, 210, 190, 195)}
    found = faster("relu", four, quicker)
    assert [(claim.n, claim.verdict) for claim in found] == [(4, "inconclusive")] * 2


@pytest.mark.filterwarnings("error")
@given(st.lists(st.floats(0.1, 10) | st.just(math.inf) | st.just(0.0), min_size=6, max_size=15))
def test_the_median_is_decided_as_its_p_value_says(values: list[float]) -> None:
    low, high = median_interval(values)
    p = p_of_median(values, 1.0)
    assert low is not None
    assert high is not None
    assert p is not None
    if low > 1 or high < 1:
        assert p <= 0.05


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


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        # Above zero with its whole interval, and within what counts as no difference.
        ((0.9805, 0.9806, 0.9805), "not supported"),
        ((0.97, 0.971, 0.97), "not supported"),
        # Above zero with its whole interval, but not above what counts as no difference.
        ((0.9815, 0.982, 0.9825), "inconclusive"),
        ((0.9905, 0.991, 0.9905), "supported"),
    ],
    ids=["within the band", "worse", "beyond zero alone", "beyond the band"],
)
def test_a_tenth_of_a_point_is_no_difference(accuracies: Sequence[float], verdict: str) -> None:
    claim = better("relu", {0.001: accurate(0.98, 0.98, 0.98)}, {0.001: accurate(*accuracies)})
    assert claim.verdict == verdict
    assert "within 0.001 of 0 there is none" in claim.statistic
    assert claim.p_value is not None
    assert (claim.p_value < 0.05) == (verdict != "inconclusive")
    # The interval itself is that of the difference from zero.
    assert claim.ci95[0] is not None
    assert (claim.ci95[0] > 0) == (accuracies[0] > 0.98)


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
    found = Ratio(activation="relu", lr50=estimate, lr90=estimate, exists=0.92, not_higher=0.01)
    claim = higher(found, trials=31)
    assert (claim.verdict, claim.ci95, claim.n, claim.p_value) == (verdict, ci95, 31, 0.178)
    # That one of them isn't there is part of the chance to be wrong: 2 (1 - 0.92 0.99).
    assert "both exist with probability 0.92" in claim.statistic


@pytest.mark.parametrize("exists", [None, 0.5, 0.89])
def test_a_ratio_of_ceilings_that_may_not_exist_decides_nothing(exists: float | None) -> None:
    estimate = Estimate(estimate=3.0, ci95=(2.0, 9.0))
    found = Ratio(activation="relu", lr50=estimate, lr90=estimate, exists=exists)
    claim = higher(found, trials=31)
    assert (claim.verdict, claim.ci95, claim.p_value) == ("inconclusive", (2.0, 9.0), None)


def test_an_activation_has_its_claims_once_both_variants_ran() -> None:
    four = runs(1, 2, 3, 4)
    assert claims_of({("baseline", "relu", 0.001): four}, [], {}) == []
    both = claims_of({("baseline", "relu", 0.1): four, ("batchnorm", "relu", 0.1): four}, [], {})
    assert [claim.id for claim in both] == [
        "faster-relu-0.1", "faster-at-best-relu", "better-results-relu",
    ]  # fmt: skip


probability = st.floats(0, 1)


def count_of(events: Sequence[float]) -> Floats:
    """Probability of 0, 1, ... all of these events: the sum over all outcomes."""
    found = np.zeros(len(events) + 1)
    for outcome in product((False, True), repeat=len(events)):
        chances = [p if happens else 1 - p for p, happens in zip(events, outcome, strict=True)]
        found[sum(outcome)] += math.prod(chances)
    return found


def holds_what_it_should(claim: Claim, cells: Sequence[Viability]) -> None:
    p = {
        variant: count_of([cell.viable for cell in cells if cell.variant == variant])
        for variant in ("baseline", "batchnorm")
    }
    of_difference: dict[int, float] = {}
    for less, q in enumerate(p["baseline"]):
        for more, r in enumerate(p["batchnorm"]):
            of_difference[more - less] = of_difference.get(more - less, 0.0) + q * r
    low, high = claim.ci95
    assert low is not None
    assert high is not None
    assert sum(share for k, share in of_difference.items() if low <= k <= high) >= 0.95 - 1e-9
    assert sum(share for k, share in of_difference.items() if k < low) <= 0.025 + 1e-9
    assert sum(share for k, share in of_difference.items() if k > high) <= 0.025 + 1e-9
    none = sum(share for k, share in of_difference.items() if k <= 0)
    assert claim.p_value == pytest.approx(2 * min(none, 1 - none), rel=1e-2, abs=1e-9)
    assert claim.estimate is not None
    assert low <= claim.estimate <= high


@given(st.lists(st.tuples(probability, probability), min_size=1, max_size=5))
def test_the_interval_is_that_of_independent_cells(viable: list[tuple[float, float]]) -> None:
    empty = cells_with([0] * len(viable), [0] * len(viable))
    chances = [p for column in zip(*viable, strict=True) for p in column]
    cells = [cell.model_copy(update={"viable": p}) for cell, p in zip(empty, chances, strict=True)]
    holds_what_it_should(more_activations(cells), cells)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
def test_the_interval_of_viable_cells_is_that_of_their_difference(
    stable: list[tuple[int, int]],
) -> None:
    cells = cells_with(*zip(*stable, strict=True))
    claim = more_activations(cells)
    holds_what_it_should(claim, cells)
    assert claim.n == 8 * len(stable)


@pytest.mark.parametrize(
    ("baseline", "batchnorm", "verdict"),
    [
        ([4, 4, 0, 0, 0], [4, 4, 4, 4, 4], "supported"),
        ([4, 4, 4, 2, 2], [4, 4, 4, 3, 2], "inconclusive"),
        ([4, 4, 4, 4, 4], [4, 4, 4, 4, 4], "inconclusive"),
        ([4, 4, 4, 4, 4], [4, 4, 0, 0, 0], "not supported"),
    ],
)
def test_more_activations_needs_more_cells(
    baseline: list[int], batchnorm: list[int], verdict: str
) -> None:
    assert more_activations(cells_with(baseline, batchnorm)).verdict == verdict


def test_a_cell_is_viable_as_jeffreys_posterior_says() -> None:
    four = [small_run(seed=seed, label="stable" if seed else "slow") for seed in range(4)]
    found = viability(four)
    assert (found.seeds, found.stable) == (4, 3)
    assert found.viable == pytest.approx(stats.beta(3.5, 1.5).sf(0.5), abs=1e-4)
    assert viability([small_run(), small_run(label="dead")]).viable == 0.5


def cells_with(baseline: Sequence[int], batchnorm: Sequence[int]) -> list[Viability]:
    """Cells of four seeds, so many of which were stable."""
    return [
        viability(
            [
                small_run(variant=variant, seed=seed, label="stable" if seed < count else "dead")
                for seed in range(4)
            ]
        )
        for variant, counts in (("baseline", baseline), ("batchnorm", batchnorm))
        for count in counts
    ]


def factor(low: float | None, high: float | None) -> tuple[Estimate, list[float]]:
    """A width as a factor, between `low` and `high`."""
    if low is None or high is None:
        return Estimate(estimate=None, ci95=(low, high)), []
    values = np.geomspace(low, high, 400).tolist()
    return Estimate(estimate=(low * high) ** 0.5, ci95=(low, high)), values


@pytest.mark.parametrize(
    ("baseline", "batchnorm", "verdict", "bounded"),
    [
        ((10, 100), (1000, 1e4), "supported", (True, True)),
        ((10, 100), (50, 500), "inconclusive", (True, True)),
        ((1000, 1e4), (10, 100), "not supported", (True, True)),
        # One-sided: still more than the other's most.
        ((10, 100), (1000, None), "supported", (True, False)),
        ((10, 100), (50, None), "inconclusive", (True, False)),
        ((1000, None), (10, 100), "not supported", (False, True)),
        ((10, None), (1000, None), "inconclusive", (False, False)),
    ],
)
def test_easier_initialisation_follows_from_the_widths(
    baseline: tuple[float | None, float | None],
    batchnorm: tuple[float | None, float | None],
    verdict: str,
    bounded: tuple[bool, bool],
) -> None:
    claim = easier_initialisation("relu", 0.001, factor(*baseline), factor(*batchnorm), 40, 1.0)
    assert claim.verdict == verdict
    assert tuple(end is not None for end in claim.ci95) == bounded
    assert (claim.id, claim.n) == ("easier-initialisation-relu", 40)
    assert (claim.p_value is not None) == all(bounded)
    if claim.p_value is not None:
        assert (claim.p_value <= 0.05) == (verdict != "inconclusive")
    if verdict == "supported" and all(bounded):
        assert claim.estimate == pytest.approx(2, abs=0.01)


def test_a_width_that_may_be_none_decides_nothing() -> None:
    widths = factor(10, 100), factor(1000, 10_000)
    sure = easier_initialisation("relu", 0.001, *widths, 40, 0.97)
    doubtful = easier_initialisation("relu", 0.001, *widths, 40, 0.6)
    assert (sure.verdict, doubtful.verdict) == ("supported", "inconclusive")
    assert sure.p_value is not None
    assert doubtful.p_value is not None
    # The chance that a width isn't there is part of the chance to be wrong.
    assert sure.p_value >= 2 * (1 - 0.97) - 1e-9
    assert doubtful.p_value >= 2 * (1 - 0.6) - 1e-9


def test_what_is_not_above_is_a_share_of_pairs_and_never_sure() -> None:
    one, other = factor(10, 1000), factor(10, 1000)
    assert not_above(one, other) == pytest.approx(0.5, abs=0.01)
    # 400 equally probable values say nothing of what is rarer than one in 400.
    assert not_above(factor(1e6, 1e7), other) == 1 / 400
    assert not_above(other, factor(1e6, 1e7)) == 1 - 1 / 400
    assert not_above(factor(10, None), other) is None


@pytest.mark.parametrize(
    ("logits", "gradient", "verdict"),
    [
        (1e-12, 1e-13, "supported"),
        (1e-3, 1e-13, "not supported"),
        (1e-12, 1e-3, "not supported"),
    ],
)
def test_a_bias_is_unnecessary_if_neither_logits_nor_gradients_know_it(
    logits: float, gradient: float, verdict: str
) -> None:
    effect = {"logit_difference": logits, "gradient_ratio": gradient, "n": 4}
    claim = bias_unnecessary("relu", effect)
    assert (claim.verdict, claim.estimate, claim.n, claim.p_value) == (verdict, logits, 4, None)
    assert claim.id == "bias-unnecessary-relu"


def test_the_report_tells_the_committed_claims() -> None:
    told = ClaimsReport.read(ROOT / "reports" / "claims.json").claims
    assert told
    shown = {
        one.id: one for one in ComparisonReport.read(ROOT / "reports" / "comparison.json").claims
    }
    for claim in told:
        assert claim == shown[claim.id].model_copy(update={"holds_together": claim.holds_together})


def test_the_committed_claim_follows_from_the_committed_cells() -> None:
    report = ClaimsReport.read(ROOT / "reports" / "claims.json")
    committed = next(claim for claim in report.claims if claim.id == "more-activations")
    again = more_activations(report.cells)
    # What was committed in format 2 has no p-value.
    assert again.model_copy(update={"p_value": committed.p_value}) == committed
    assert committed.p_value in (None, again.p_value)
