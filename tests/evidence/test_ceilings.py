"""The ceilings of all arms, over one another and over what theory says."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from conftest import small_belief, small_study, small_surest, small_usable
from lr_ceiling.evidence.ceilings import held_against_theory, ratios, typical
from lr_ceiling.evidence.measurement import Measurement
from lr_ceiling.evidence.records import Arm, Pooled
from lr_ceiling.search.estimates import NOTHING, Belief
from lr_ceiling.search.posterior import NO_CALLS, Observation, Range

ARMS: list[Arm] = [("baseline", "relu"), ("batchnorm", "relu")]
POOLED = Pooled(
    lr50=NOTHING,
    lr90=NOTHING,
    exists=0.9,
    usable=small_usable(),
    surest=small_surest(),
    fit=0.5,
    widened=False,
    runs={"search": 2},
    seeds=2,
    stable=1,
    without={},
    left_out=(),
)


def test_there_is_a_ratio_of_each_activation_with_both_networks() -> None:
    us = np.linspace(-3, -1, 40)
    trials = [Observation(u, stable=u < -1.95) for u in us]
    found = Measurement.of(trials, Range(-4, 0, -6, 2), NO_CALLS, None)
    (only,) = ratios(dict.fromkeys(ARMS, found))
    assert only.activation == "relu"
    assert only.lr90.estimate == pytest.approx(1, rel=0.05)
    assert only.usable == NOTHING
    assert only.exists == pytest.approx(found.exists**2, abs=1e-4)
    assert only.not_higher == pytest.approx(0.5, abs=0.01)
    (first, *_) = ARMS
    assert ratios({first: found}) == []


def test_the_ratio_of_usable_is_that_of_two_curves_of_accuracy() -> None:
    def arm(shift: float) -> Measurement:
        """Accuracy falls from a decade below the edge on."""
        trials = [
            Observation(u + shift, stable=u < -1, score=0.98 - 0.05 * max(u + 2, 0) ** 2)
            if u < -1
            else Observation(u + shift, stable=False)
            for u in np.linspace(-3.5, -0.5, 40)
        ]
        return Measurement.of(trials, Range(-4, 1, -6, 3), NO_CALLS, 0.01)

    (only,) = ratios({("batchnorm", "relu"): arm(1.0), ("baseline", "relu"): arm(0.0)})
    assert only.usable is not None
    low, high = only.usable.ci95
    assert only.usable.estimate == pytest.approx(10, rel=0.15)
    assert low is not None
    assert high is not None
    assert 1 < low < 10 < high


def test_an_arm_of_the_file_is_its_study_without_the_key_and_with_theory() -> None:
    study = small_study(lr90={"estimate": None, "ci95": (0.01, None)})
    rates = [0.004, 0.005, 0.006]
    critical = {
        "initial": {"median": 0.005, "least": 0.004, "most": 0.006, "n": 3, "rates": rates},
        "trained": {"median": None, "least": None, "most": None, "n": 0, "rates": []},
        "bias": {"logit_difference": 1e-12, "gradient_ratio": 2e-13, "n": 3},
    }
    arm = held_against_theory(study, small_belief(), critical, POOLED)
    written = arm.model_dump()
    assert {**written, "key": study.key} == {
        **study.model_dump(), "theory": written["theory"], "pooled": POOLED.model_dump(),
    }  # fmt: skip
    assert list(written)[-2:] == ["theory", "pooled"]
    initial, trained = arm.theory.initial, arm.theory.trained
    assert (initial.median, initial.least, initial.most, initial.n) == (0.005, 0.004, 0.006, 3)
    assert initial.typical is not None
    assert initial.typical.estimate == pytest.approx(0.00493, rel=1e-3)
    assert trained.lr90_over_median == trained.lr50_over_median == trained.typical == NOTHING


def belief_of(values: Sequence[float]) -> Belief:
    return replace(small_belief(), lr90=tuple(values), lr50=tuple(values))


@pytest.mark.parametrize("n", [2, 4, 12])
def test_the_median_of_few_networks_is_not_known(n: int) -> None:
    """Held against a median that is taken as known, a sure ceiling was a sure number of times."""
    rates = list(np.geomspace(0.002, 0.008, n))
    shown = {"median": 0.004, "least": 0.002, "most": 0.008, "n": n, "rates": rates}
    study = small_study(lr90={"estimate": 0.008, "ci95": (0.00799, 0.00801)})
    belief = belief_of(np.linspace(0.00799, 0.00801, 400).tolist())
    arm = held_against_theory(study, belief, {"initial": shown, "trained": shown}, POOLED)
    found = arm.theory.initial
    low, high = found.lr90_over_median.ci95
    assert low is not None
    assert high is not None
    assert found.lr90_over_median.estimate == pytest.approx(2, rel=0.01)
    logs = np.log(rates)
    margin = stats.t.ppf(0.975, n - 1) * logs.std(ddof=1) / n**0.5
    assert np.log(high / low) == pytest.approx(2 * margin, rel=0.05)


def test_the_interval_of_the_typical_rate_is_students_of_the_logarithms() -> None:
    rates = [0.001, 0.01, 0.01, 0.1]
    found, values = typical(rates)
    low, high = stats.ttest_1samp(np.log(rates), 0).confidence_interval(0.95)
    assert found.estimate == pytest.approx(0.01)
    assert found.ci95 == pytest.approx((np.exp(low), np.exp(high)))
    assert np.quantile(values, (0.025, 0.975)) == pytest.approx(found.ci95, rel=0.1)


def test_it_covers_the_median_of_all_networks_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).lognormal(mean=np.log(0.004), sigma=0.3, size=(2000, 4))
    intervals = [typical(rates)[0].ci95 for rates in draws.tolist()]
    covered = np.mean([low is not None and high is not None and low <= 0.004 <= high
                       for low, high in intervals])  # fmt: skip
    assert 0.935 < covered < 0.965


def test_one_network_bounds_nothing() -> None:
    found, values = typical([0.004])
    assert found.estimate == pytest.approx(0.004)
    assert (found.ci95, values) == ((None, None), [])
    assert typical([]) == (NOTHING, [])
    shown = {"median": 0.004, "least": 0.004, "most": 0.004, "n": 1, "rates": [0.004]}
    critical = {"initial": shown, "trained": shown}
    arm = held_against_theory(small_study(), small_belief(), critical, POOLED)
    assert arm.theory.initial.lr90_over_median == NOTHING
    assert arm.theory.initial.n == 1
