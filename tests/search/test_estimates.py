"""What is said of a ceiling: a number only where the trials support one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from lr_ceiling.search.estimates import NOTHING, Estimate, Estimates, ratio
from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Observation, Posterior, Range, curves

GRID = curves(Range(-4, 0, -6, 2))


def ceiling_of(stable: list[float], failed: list[float]) -> Estimates:
    trials = [Observation(u, stable=True) for u in stable]
    return Estimates(Posterior(GRID, trials + [Observation(u, stable=False) for u in failed]))


def both_sides() -> Estimates:
    return ceiling_of(list(np.linspace(-3, -2, 20)), list(np.linspace(-1.9, -1, 20)))


def test_trials_on_both_sides_give_a_number() -> None:
    found = both_sides()
    estimate = found.estimate(0.9)
    assert found.bounds_of(0.9) == "both"
    low, high = estimate.ci95
    assert low is not None
    assert high is not None
    assert estimate.estimate is not None
    assert 1e-3 < low < estimate.estimate < high < 10**-1.7
    assert found.ended(1.0) == "interval"
    assert found.ended(0.01) is None


def test_many_trials_do_not_make_it_surer_than_the_grid_can_tell() -> None:
    width, covered = 0.4, 0
    for study in range(8):
        rng = np.random.default_rng(study)
        middle, scale = rng.uniform(-2.5, -1.5), width / WIDTH_OF_SCALE
        truth = middle - scale * np.log(9)
        us = np.round(rng.uniform(middle - width, middle + width / 2, 1000), 1)
        stable = rng.random(len(us)) < expit((middle - us) / scale)
        trials = [Observation(float(u), bool(one)) for u, one in zip(us, stable, strict=True)]
        found, values = Estimates(Posterior(GRID, trials)).measured(0.9)
        low, high = found.ci95
        assert low is not None
        assert high is not None
        covered += low <= 10**truth <= high
        assert list(values) == sorted(values)
        assert np.log10(high / low) > 0.08
    # Four of eight without a least width.
    assert covered == 8


def test_no_failure_gives_a_lower_limit_alone() -> None:
    found = ceiling_of(list(np.linspace(-4, 2, 25)), [])
    estimate = found.estimate(0.9)
    assert estimate.estimate is None
    assert estimate.ci95[1] is None
    assert estimate.ci95[0] is not None
    assert estimate.ci95[0] > 1
    assert found.bounds_of(0.9) == "below only"
    # Where it ends is not where the ceiling lies: looking on would not find it.
    assert found.ended(10) == "range"
    assert found.belief().lr90 == ()


@pytest.mark.parametrize("failures", [3, 40])
def test_no_success_gives_no_number(failures: int) -> None:
    found = ceiling_of([], list(np.linspace(-6, 2, failures)))
    for target in (0.5, 0.9):
        assert found.estimate(target).estimate is None
        assert found.estimate(target).ci95[0] is None
    assert found.ended(10) is None


def test_a_network_that_never_trains_surely_has_no_ceiling() -> None:
    found = ceiling_of([], list(np.linspace(-6, 2, 60)))
    assert found.estimate(0.5) == NOTHING
    assert found.checks().lr50_exists < 0.5


def test_a_poor_fit_widens_the_interval_and_says_so() -> None:
    below = list(np.linspace(-4, -2, 20))
    above = list(np.linspace(-1.9, 0, 20))
    sound = ceiling_of(below, above)
    island = ceiling_of([*below, -0.31, -0.3, -0.29, -0.28], above)
    assert not sound.checks().widened
    assert island.checks().widened
    assert island.posterior.edge(0.5).decades > sound.posterior.edge(0.5).decades


def test_the_checks_are_shares_and_a_shift() -> None:
    checks = both_sides().checks()
    assert 0.5 < checks.lr90_exists <= checks.lr50_exists <= 1
    assert checks.edge_mass == pytest.approx((0, 0), abs=0.01)
    assert checks.prior_shift_decades is not None
    assert abs(checks.prior_shift_decades) < 0.1


def test_the_belief_is_the_posterior_thinned() -> None:
    found = both_sides()
    belief = found.belief()
    assert len(belief.learning_rates) == len(belief.probability) == len(belief.low)
    assert all(
        low <= p <= high
        for low, p, high in zip(belief.low, belief.probability, belief.high, strict=True)
    )
    assert np.median(belief.lr90) == pytest.approx(found.estimate(0.9).estimate, rel=0.05)


def test_a_ratio_has_the_interval_of_its_two_parts() -> None:
    rng = np.random.default_rng(0)
    above, below = (10 ** rng.normal(mean, 0.1, 400) for mean in (0.0, -1.0))
    found = ratio((NOTHING, list(above)), (NOTHING, list(below)))
    assert found.estimate == pytest.approx(10, rel=0.1)
    low, high = np.log10(np.array(found.ci95, float))
    assert high - low == pytest.approx(2 * 1.96 * 0.1 * 2**0.5, rel=0.15)


def test_a_ratio_of_one_sided_bounds_is_one_sided() -> None:
    above = Estimate(estimate=None, ci95=(2.0, None))
    below = Estimate(estimate=0.01, ci95=(0.005, 0.02))
    assert ratio((above, []), (below, [0.01])) == Estimate(estimate=None, ci95=(100.0, None))
    assert ratio((NOTHING, []), (below, [0.01])) == NOTHING


@given(st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=20))
def test_a_ratio_with_itself_is_one(values: list[float]) -> None:
    found = ratio((NOTHING, values), (NOTHING, values))
    low, high = found.ci95
    assert low is not None
    assert high is not None
    assert low <= 1.001
    assert high >= 0.999
