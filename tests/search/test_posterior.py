"""The posterior: what it takes trials to say, against plain arithmetic and known curves."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lr_ceiling.search.posterior import (
    COARSEST,
    DECAY,
    DRAWS,
    IN_STEPS,
    LAPSES,
    LOWER_EDGE_WITHIN,
    LOWER_EDGES,
    NEAREST,
    NOTHING_TRAINS,
    ROOT_STEPS,
    STEPS,
    TINY,
    WIDEST_STEP,
    WIDTH_WEIGHTS,
    WIDTHS,
    Calls,
    Curves,
    Observation,
    Posterior,
    Range,
    Tally,
    _logit,
    _sigmoid,
    curves,
)

BOUNDS = Range(-4, 0, -6, 2)
GRID = curves(BOUNDS)
us = st.floats(BOUNDS.lowest, BOUNDS.highest)
observations = st.lists(st.builds(Observation, u=us, stable=st.booleans()), min_size=1, max_size=6)


def test_the_prior_is_a_distribution_that_falls_off_outside_the_range() -> None:
    assert GRID.prior.sum() == pytest.approx(1)
    prior = Posterior(GRID)
    inside, above, far = (prior.mass(0.5, u, u + 1) for u in (-1, 0, 1))
    assert inside > 2 * above > 8 * far > 0


# No limit is 0, and the expected range lies nowhere in the middle.
UNEVEN = Range(-1, 0.3, -2, 1.1)


def test_the_prior_weighs_widths_and_lapses_and_that_nothing_trains() -> None:
    grid = Curves(UNEVEN)
    assert grid.prior.sum(axis=0) == pytest.approx([weight for *_, weight in LAPSES])
    weight = grid.prior.sum(axis=1) * (1 + NOTHING_TRAINS)
    assert weight[-1] == pytest.approx(NOTHING_TRAINS)
    by_width = [weight[:-1][grid.width[:-1] == width].sum() for width in WIDTHS]
    assert by_width == pytest.approx(WIDTH_WEIGHTS)


@pytest.mark.parametrize("width", [WIDTHS[0], WIDTHS[5], WIDTHS[-1]])
def test_the_prior_weighs_the_bands_of_a_width(width: float) -> None:
    grid = Curves(UNEVEN)
    of_width = np.flatnonzero(grid.width[:-1] == width)
    weight = grid.prior.sum(axis=1)[of_width]
    thetas, place = np.unique(grid._theta[of_width], return_inverse=True)
    assert thetas[0] == pytest.approx(UNEVEN.lowest - width / 2)
    assert -1e-9 < thetas[-1] - UNEVEN.highest - width / 2 < COARSEST
    by_theta = np.bincount(place, weight)
    outside = np.maximum(np.maximum(UNEVEN.low - thetas, thetas - UNEVEN.high), 0)
    assert by_theta * 10 ** (DECAY * outside) == pytest.approx(by_theta.max())
    share = weight / by_theta[place]
    # All lower edges that leave a visible band weigh the same, and so do all steps.
    lower, stepped = grid._depth[of_width] > 0, grid._share[of_width] > 0
    visible = [
        theta - distance > UNEVEN.lowest - lower_width / 2 and distance >= NEAREST * width
        for theta in thetas
        for distance, lower_width, _ in LOWER_EDGES
    ]
    assert lower.sum() == sum(visible)
    assert share[lower] == pytest.approx(LOWER_EDGE_WITHIN / len(LOWER_EDGES))
    assert stepped.sum() == (len(STEPS) * len(thetas) if width <= WIDEST_STEP else 0)
    assert share[stepped] == pytest.approx(IN_STEPS / len(STEPS))


@settings(deadline=None)
@given(u=us, seed=st.integers(0, 10**6))
def test_a_cell_is_the_curve_that_the_module_states(u: float, seed: int) -> None:
    cell = np.random.default_rng(seed).integers(0, GRID.prior.size, 20)
    assert GRID.probability(u).ravel()[cell] == pytest.approx(GRID.chosen(cell, np.array([u]))[0])


@settings(deadline=None)
@given(u=us, seed=st.integers(0, 10**6))
def test_curves_are_those_of_the_plain_formula_to_the_bit(u: float, seed: int) -> None:
    # Twice the same cell, and others.
    cells = np.random.default_rng(seed).integers(0, GRID.prior.size, 20)[[0, 0, *range(20)]]
    band, lapse = np.unravel_index(cells, GRID.prior.shape)
    above = _sigmoid((u - GRID._phi[band]) / GRID._lower_scale[band])
    lower = 1 - GRID._depth[band] * (1 - above)
    upper = GRID._upper(band, u)
    plain = GRID._guess[lapse] + GRID._gain[lapse] * upper * lower
    assert np.array_equal(GRID.chosen(cells, np.array([u]))[0], plain)


@settings(deadline=None)
@given(u=us, stable=st.booleans(), miscall=st.floats(0, 0.1))
def test_log_probabilities_are_those_of_the_plain_formula_to_the_bit(
    u: float, stable: bool, miscall: float
) -> None:
    slope = (1 if stable else -1) * (1 - 2 * miscall)
    offset = miscall if stable else 1 - miscall
    gain = (slope * GRID._gain).astype(np.float32)
    told = np.multiply.outer(GRID._band(u).astype(np.float32), gain)
    told += (offset + slope * GRID._guess).astype(np.float32)
    plain = np.log(np.maximum(told, np.float32(TINY)))
    assert np.array_equal(GRID.log_probability(u, stable, miscall), plain)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), target=st.sampled_from([0.5, 0.9]))
def test_an_edge_is_the_highest_rate_that_reaches_the_target(seed: int, target: float) -> None:
    # By brute force on a fine lattice.
    lattice = np.arange(-8, 4, 0.005)
    cells = np.random.default_rng(seed).integers(0, GRID.prior.size, 40)
    p = GRID.chosen(cells, lattice)
    reaches = p >= target
    highest = np.where(
        reaches.any(axis=0), lattice[len(lattice) - 1 - reaches[::-1].argmax(axis=0)], -np.inf
    )
    edges = GRID.edges(target).ravel()[cells]
    clear = (highest > BOUNDS.lowest - 0.9) & (highest < 3.9)
    assert edges[clear] == pytest.approx(highest[clear], abs=0.011)
    # One that touches the target within 0.001 may count as reaching it.
    assert not np.isfinite(edges[p.max(axis=0) < target - 0.0011]).any()


@pytest.mark.parametrize("bounds", [BOUNDS, Range(-3, 3, -5, 5)], ids=["baseline", "batchnorm"])
@pytest.mark.parametrize("target", [0.5, 0.9])
def test_edges_are_those_of_the_plain_iteration_to_the_bit(bounds: Range, target: float) -> None:
    grid = curves(bounds)
    bands, lapses = (axis.ravel() for axis in np.indices(grid.prior.shape))
    theta, scale = grid._theta[bands], grid._scale[bands]
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = ((target - grid._guess) / grid._gain)[lapses]
        u = theta - scale * _logit(needed)
        for _ in range(ROOT_STEPS):
            u = theta - scale * _logit(needed / grid._lower(bands, u))
        band = grid._upper(bands, u) * grid._lower(bands, u)
        reached = grid._guess[lapses] + grid._gain[lapses] * band >= target - 1e-3
    expected = np.where(reached & (u > bounds.lowest - 1), u, -np.inf)
    # Those that fall in two steps are bisected.
    plain = grid._share[bands] == 0
    assert np.array_equal(grid.edges(target).ravel()[plain], expected[plain])


@settings(deadline=None)
@given(u=us, stable=st.booleans(), miscall=st.floats(0, 0.1))
def test_what_is_told_of_a_run_is_as_probable_as_its_outcome_and_the_calls_say(
    u: float, stable: bool, miscall: float
) -> None:
    p = GRID.probability(u) if stable else 1 - GRID.probability(u)
    told = p * (1 - miscall) + (1 - p) * miscall
    found = np.exp(GRID.log_probability(u, stable, miscall), dtype=float)
    np.testing.assert_allclose(found, np.maximum(told, TINY), rtol=1e-4, atol=2e-7)


@settings(deadline=None, max_examples=20)
@given(trials=observations, target=st.sampled_from([0.5, 0.9]))
def test_quantiles_lie_on_the_line_between_neighbours(
    trials: list[Observation], target: float
) -> None:
    """As numpy draws it through the middle of each curve's own weight."""
    posterior = Posterior(GRID, trials)
    order = GRID.by_edge(target)
    u, weight = GRID.edges(target).ravel()[order], posterior.weights.ravel()[order]
    u, weight = u[np.isfinite(u)], weight[np.isfinite(u)]
    shares = (np.arange(50) + 0.5) / 50
    expected = np.interp(shares * weight.sum(), weight.cumsum() - weight / 2, u)
    np.testing.assert_allclose(posterior.quantiles(target, 50), expected, atol=1e-3)


def test_an_edge_of_twenty_decades_takes_no_longer_than_some_looks_at_all_curves() -> None:
    grid = Curves(Range(-10, 10, -12, 12))

    def seconds(work: Callable[[float], object], *arguments: float) -> float:
        taken = []
        for argument in arguments:
            began = time.process_time()
            work(argument)
            taken.append(time.process_time() - began)
        return min(taken)

    # As long as 80 (n = 3).
    look = seconds(grid.probability, -1.0, 0.0, 1.0)
    assert seconds(grid.edges, 0.9, 0.89) < 160 * look


@settings(deadline=None, max_examples=20)
@given(trials=observations, data=st.data())
def test_trials_may_come_in_any_order_and_one_by_one(
    trials: list[Observation], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(trials))
    grown = Posterior(GRID)
    for trial in shuffled:
        grown = grown.after(trial)
    at_once = Posterior(GRID, trials)
    np.testing.assert_allclose(grown.weights, at_once.weights, rtol=1e-6, atol=1e-12)


def test_each_outcome_moves_the_edge_its_own_way() -> None:
    bracket = Posterior(GRID, [Observation(-3, stable=True), Observation(-1, stable=False)])
    edge = bracket.edge(0.5)
    for u in np.linspace(edge.low, edge.high, 9):
        assert bracket.after(Observation(u, stable=True)).edge(0.5).median > edge.median - 0.01
        assert bracket.after(Observation(u, stable=False)).edge(0.5).median < edge.median + 0.01


def test_many_trials_find_a_known_curve() -> None:
    theta, width = -1.77, 0.3
    rng = np.random.default_rng(1)
    places = rng.uniform(-2.5, -1, 300)
    p = stats.logistic.cdf((theta - places) * 2 * np.log(9) / width)
    trials = [
        Observation(u, bool(stable)) for u, stable in zip(places, rng.random(300) < p, strict=True)
    ]
    posterior = Posterior(GRID, trials)
    assert posterior.edge(0.5).low < theta < posterior.edge(0.5).high
    assert posterior.edge(0.9).low < theta - width / 2 < posterior.edge(0.9).high
    assert posterior.edge(0.9).decades < 0.25
    assert 0.15 < posterior.width() < 0.6
    assert posterior.fit() > 0.05
    mean, low, high = posterior.band(np.array([-3.0, theta, -0.5]))
    assert mean == pytest.approx([1, 0.5, 0], abs=0.2)
    assert low[1] < 0.5 < high[1]


def test_nothing_trains_is_said_as_such() -> None:
    failed = [Observation(u, stable=False) for u in np.linspace(-6, 2, 30)]
    assert Posterior(GRID, failed).edge(0.5).exists < 0.5


def test_a_network_that_trains_four_times_in_five_has_no_lr90() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-4, 0, 150)
    trials = [Observation(u, bool(rng.random() < 0.8 * (u < -1.5))) for u in places]
    posterior = Posterior(GRID, trials)
    assert posterior.edge(0.9).exists < 0.1
    assert posterior.edge(0.5).median == pytest.approx(-1.5, abs=0.2)


def test_the_fit_shows_trials_that_no_curve_fits() -> None:
    # An island of stability two decades above the edge, in the middle of failures.
    trials = [Observation(u, u < -2) for u in np.linspace(-4, 0, 40)]
    island = [Observation(u, stable=True) for u in (-0.31, -0.3, -0.29, -0.28)]
    assert Posterior(GRID, trials).fit() > 0.2
    assert Posterior(GRID, [*trials, *island]).fit() < 0.05


def test_trials_as_expected_fit_even_if_all_that_is_simulated_is_the_same() -> None:
    assert Posterior(GRID, [Observation(-5, stable=True), Observation(1, stable=False)]).fit() > 0.9


def test_thousands_of_trials_underflow_nowhere() -> None:
    posterior = Posterior(GRID, [Observation(-2, stable=bool(seed % 2)) for seed in range(2000)])
    assert posterior.weights.sum() == pytest.approx(1)


def test_tempering_widens_and_moves_nothing_else() -> None:
    trials = [Observation(u, u < -2) for u in np.linspace(-3, -1, 21)]
    posterior = Posterior(GRID, trials)
    assert posterior.tempered(0.5).edge(0.9).decades > posterior.edge(0.9).decades
    assert posterior.tempered(1.0).weights == pytest.approx(posterior.weights)


def test_a_call_that_may_be_wrong_says_less() -> None:
    sure = Posterior(GRID, [Observation(-2, stable=False)] * 3)
    ended = Observation(-2, stable=False, called="failure", ended=True)
    called = Posterior(GRID, [ended] * 3)
    proven = Posterior(GRID, called.observations, Calls(Tally(audited=10_000)))
    assert called.edge(0.5).high > sure.edge(0.5).high
    assert proven.edge(0.5).high == pytest.approx(sure.edge(0.5).high, abs=0.02)


def test_a_success_that_was_called_says_less() -> None:
    sure = Posterior(GRID, [Observation(-2, stable=True)] * 3)
    ended = Observation(-2, stable=True, called="success", ended=True)
    called = Posterior(GRID, [ended] * 3)
    proven = Posterior(GRID, called.observations, Calls(successes=Tally(audited=10_000)))
    assert called.edge(0.5).low < sure.edge(0.5).low
    assert proven.edge(0.5).low == pytest.approx(sure.edge(0.5).low, abs=0.02)


def test_audited_calls_count_whether_here_or_elsewhere() -> None:
    wrong = Observation(-2, stable=True, called="failure")
    right = Observation(-2, stable=True, called="success")
    ended = Observation(-1, stable=False, called="failure", ended=True)
    here = Posterior(GRID, [ended]).after(wrong)
    assert here.audited == Calls(Tally(audited=1, wrong=1))
    assert here.audited.failures.miscall == pytest.approx(2 / 21)
    assert here.weights == pytest.approx(Posterior(GRID, [ended, wrong]).weights)
    assert here.after(right).audited == Calls(Tally(1, 1), Tally(1, 0))


def test_one_trial_more_keeps_the_tempering() -> None:
    one, other = Observation(-2, stable=True), Observation(-1, stable=False)
    grown = Posterior(GRID, [one]).tempered(0.5).after(other)
    assert grown.weights == pytest.approx(Posterior(GRID, [one, other]).tempered(0.5).weights)


def test_a_lower_edge_as_sharp_as_the_upper_one_leaves_no_doubt_of_the_band() -> None:
    # 0.4 decades apart, each within 0.1: with a lower edge of one width, 1.3 decades, P was 0.06.
    rng = np.random.default_rng(0)
    places = rng.uniform(-2.6, -1.4, 60)
    p = stats.logistic.cdf((-1.8 - places) * 44) * stats.logistic.cdf((places + 2.2) * 44)
    trials = [Observation(u, bool(rng.random() < q)) for u, q in zip(places, p, strict=True)]
    found = Posterior(GRID, [*trials, *[Observation(-2, stable=True)] * 10]).edge(0.9)
    assert found.exists > 0.9
    assert found.low < -1.85 < found.high


def test_that_no_rate_trains_half_of_the_time_can_be_said() -> None:
    rng = np.random.default_rng(0)
    trials = [Observation(u, bool(rng.random() < 0.25 * (u < -1))) for u in rng.uniform(-4, 0, 80)]
    assert Posterior(GRID, trials).edge(0.5).exists < 0.1


def test_seeds_at_one_rate_are_no_sign_of_a_poor_fit() -> None:
    # Sorted by their outcomes, 20 seeds of which half are stable looked alike in 60 of 60 studies.
    trials = [Observation(-2, stable=bool(seed % 2)) for seed in range(20)]
    trials += [Observation(-3, stable=True)] * 5 + [Observation(-1, stable=False)] * 5
    assert Posterior(GRID, trials).fit() > 0.2


def test_quantiles_and_masses_agree_with_the_edge() -> None:
    posterior = Posterior(GRID, [Observation(-3, stable=True), Observation(-1, stable=False)])
    edge = posterior.edge(0.5)
    values = posterior.quantiles(0.5, 400)
    assert len(values) == 400
    assert (np.diff(values) >= 0).all()
    assert np.median(values) == pytest.approx(edge.median, abs=0.02)
    assert posterior.mass(0.5, -np.inf, edge.low) == pytest.approx(0.025, abs=0.01)
    # Where there is no edge is nowhere.
    assert edge.exists < 1
    assert posterior.mass(0.5, -np.inf, np.inf) == pytest.approx(1)


def test_a_sample_stands_for_the_posterior() -> None:
    posterior = Posterior(GRID, [Observation(-3, stable=True), Observation(-1, stable=False)])
    cells = posterior.sample(DRAWS)
    assert (cells == posterior.sample(DRAWS)).all()
    edges = GRID.edges(0.9).ravel()[cells]
    assert np.isfinite(edges).mean() == pytest.approx(posterior.edge(0.9).exists, abs=1e-3)
    assert np.median(edges[np.isfinite(edges)]) == pytest.approx(
        posterior.edge(0.9).median, abs=0.02
    )


def test_what_fresh_seeds_will_show_is_a_distribution() -> None:
    posterior = Posterior(GRID, [Observation(-3, stable=True), Observation(-1, stable=False)])
    predicted = posterior.predictive(-2, 20)
    assert predicted.sum() == pytest.approx(1)
    assert len(predicted) == 21
    # Wider than a binomial: the curve itself is uncertain.
    runs = np.arange(21)
    mean = predicted @ runs
    assert predicted @ (runs - mean) ** 2 > 20 * (mean / 20) * (1 - mean / 20)


def test_flat_widths_undo_the_prior_of_sharp_transitions() -> None:
    prior = Posterior(GRID)
    flat = prior.reweighted(WIDTHS**0.5)
    assert flat.width() > prior.width()
