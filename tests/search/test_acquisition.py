"""What a trial promises, and when it is better to wait for those under way."""

from typing import Any

import numpy as np
import pytest

from lr_ceiling.search.acquisition import (
    NONE_PENDING,
    Explorer,
    Prospect,
    failure_cost,
    information,
    narrow_after,
)
from lr_ceiling.search.posterior import DRAWS, Observation, Posterior, Range, curves

BOUNDS = Range(-4, 0, -6, 2)
BRACKET = [Observation(-3.0, stable=True), Observation(-1.0, stable=False, cost=0.1)]


def test_sentinels_look_above_the_interval_and_follow_from_the_key() -> None:
    explorer = Explorer(BOUNDS, "key")
    above = Posterior(curves(BOUNDS), BRACKET).edge(0.9).high
    places = [explorer.choose(index, BRACKET, NONE_PENDING) for index in range(100)]
    usual = max(set(places), key=places.count)
    sentinels = [place for place in places if place != usual]
    assert 3 <= len(sentinels) <= 20
    assert all(above <= place <= BOUNDS.high for place in sentinels)
    assert places == [
        Explorer(BOUNDS, "key").choose(index, BRACKET, NONE_PENDING) for index in range(100)
    ]
    assert places != [
        Explorer(BOUNDS, "other").choose(index, BRACKET, NONE_PENDING) for index in range(100)
    ]


def test_threads_may_ask_one_explorer_at_once() -> None:
    explorer = Explorer(BOUNDS, "key")

    class Interrupted(list[Observation]):
        """Another thread asks as soon as a part of these is looked at."""

        def __getitem__(self, part: Any) -> Any:
            explorer.posterior([*BRACKET, Observation(-2.0, stable=True)])
            return super().__getitem__(part)

    for asked in (BRACKET, BRACKET[:1], [BRACKET[1]]):
        assert explorer.posterior(Interrupted(asked)).observations == tuple(asked)


def test_what_an_explorer_was_asked_before_changes_nothing() -> None:
    explorer = Explorer(BOUNDS, "key")
    near = np.array([explorer.choose(0, BRACKET, NONE_PENDING)])
    more = [*BRACKET, Observation(float(near[0]), stable=True)]
    for seen in (BRACKET, more, BRACKET[:1], BRACKET):
        for pending in (NONE_PENDING, near, np.repeat(near, 2), NONE_PENDING):
            fresh = Explorer(BOUNDS, "key")
            assert explorer.waits(seen, pending) == fresh.waits(seen, pending)
            assert explorer.choose(0, seen, pending) == fresh.choose(0, seen, pending)


def test_information_is_that_of_the_textbook() -> None:
    rng = np.random.default_rng(0)
    # Two candidates: one that tells the lower half of the edges from the upper, one that is noise.
    p = np.stack([np.repeat([0.9, 0.1], DRAWS // 2), np.full(DRAWS, 0.5)])
    told = np.log(2) + 0.9 * np.log(0.9) + 0.1 * np.log(0.1)
    alone = np.ones((1, DRAWS))
    assert information(p, alone) == pytest.approx([told, 0], abs=1e-9)
    # With the same trial under way already, a second one tells less, but not nothing.
    both = np.stack([p[0], 1 - p[0]])
    again = information(p, both)
    assert 0 < again[0] < told
    assert again[1] == pytest.approx(0, abs=1e-9)
    assert (information(rng.random((5, DRAWS)), alone) >= -1e-12).all()


def test_trials_under_way_are_not_repeated() -> None:
    posterior = Posterior(curves(BOUNDS), BRACKET)
    prospect = Prospect(posterior)
    best = prospect.best(NONE_PENDING)
    pending = np.array([best])
    assert prospect.worth(pending) < prospect.worth(NONE_PENDING)
    assert prospect.best(pending) != best


def test_a_trial_waits_where_another_is_about_to_tell() -> None:
    explorer = Explorer(BOUNDS, "key")
    best = Prospect(explorer.posterior(BRACKET)).best(NONE_PENDING)
    assert not explorer.waits(BRACKET, NONE_PENDING)
    assert not explorer.waits(BRACKET, np.array([1.9]))
    assert explorer.waits(BRACKET, np.array([best] * 8))


def test_trials_under_way_may_be_enough() -> None:
    explorer = Explorer(BOUNDS, "key")
    posterior = explorer.posterior(BRACKET)
    decades = posterior.edge(0.9).decades
    assert narrow_after(posterior, np.array([1.9]), decades - 0.1) == pytest.approx(0, abs=0.01)
    assert narrow_after(posterior, np.array([1.9]), decades + 0.1) == pytest.approx(1, abs=0.01)
    # One trial in the middle, half a chance each: exactly what its two outcomes would give.
    middle = posterior.edge(0.9).median
    outcomes = [Observation(middle, stable) for stable in (True, False)]
    widths = [posterior.after(one).edge(0.9).decades for one in outcomes]
    p = posterior.band(np.array([middle]))[0][0]
    between = sum(widths) / 2
    expected = p if widths[0] < widths[1] else 1 - p
    assert narrow_after(posterior, np.array([middle]), between) == pytest.approx(expected, abs=0.05)


@pytest.mark.filterwarnings("error")
def test_where_there_is_no_edge_no_interval_gets_narrow() -> None:
    trials = [Observation(-3.25, stable=index % 6 == 0) for index in range(300)]
    # A narrow band between two trials would be one: none is left.
    trials += [Observation(u, stable=False) for u in np.arange(-6, 2, 0.025)]
    posterior = Posterior(curves(Range(-4, 0, -6, 2)), trials)
    assert posterior.edge(0.9).exists < 1e-6
    assert narrow_after(posterior, np.array([-1.0]), 0.3) == 0


def test_cheap_failures_draw_the_search_upwards() -> None:
    dear = [*BRACKET, *[Observation(1.9, stable=False, cost=1.0)] * 8]
    cheap = [*BRACKET, *[Observation(1.9, stable=False, cost=0.02)] * 8]
    assert failure_cost(cheap) < 0.2 < 0.8 < failure_cost(dear)
    grid = curves(BOUNDS)
    low, high = (Prospect(Posterior(grid, seen)).best(NONE_PENDING) for seen in (dear, cheap))
    assert low < high


def test_many_trials_may_be_under_way() -> None:
    posterior = Posterior(curves(BOUNDS), BRACKET)
    assert Prospect(posterior).worth(np.linspace(-3, -1, 20)) > 0
