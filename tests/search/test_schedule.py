"""The schedule of a study: deterministic, within its budget, and no longer than it has to be."""

import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_ceiling.search.estimates import Estimates
from lr_ceiling.search.posterior import Observation, Posterior, curves
from lr_ceiling.search.schedule import Aim, Schedule

EDGE = -1.3


def outcome(index: int, u: float) -> Observation:
    stable = u < EDGE + random.Random(index).uniform(-0.1, 0.1)
    if stable:
        return Observation(u, stable)
    return Observation(u, stable, called="failure", ended=True, cost=0.1)


def make_aim(lag: int = 4, budget: float = 10, interval: float = 0.5) -> Aim:
    return Aim("key", 1e-4, 1, interval_decades=interval, budget=budget, lag=lag)


def run(aim: Aim, order: random.Random) -> tuple[list[Observation], int]:
    """All trials, whichever of those under way ends first; and how many ran at once at most."""
    schedule, done, most = Schedule(aim), dict[int, Observation](), 0
    under_way: dict[int, float] = {}
    while True:
        while schedule.may_start(done):
            under_way[schedule.index] = schedule.propose()
            schedule.started(under_way[schedule.index])
        if not under_way:
            return [done[index] for index in range(schedule.index)], most
        most = max(most, len(under_way))
        index = order.choice(sorted(under_way))
        done[index] = outcome(index, under_way.pop(index))


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_endings_does_not_matter(seed: int) -> None:
    assert run(make_aim(), random.Random(seed))[0] == in_some_order()


@cache
def in_some_order() -> list[Observation]:
    return run(make_aim(), random.Random(0))[0]


@pytest.mark.parametrize("lag", [1, 2, 4])
def test_no_more_run_at_once_than_the_lag(lag: int) -> None:
    trials, most = run(make_aim(lag=lag), random.Random(0))
    assert most <= lag
    assert len(trials) > lag
    assert most > 1 or lag == 1


@pytest.mark.parametrize("budget", [1, 2.5, 6])
def test_the_budget_is_kept_and_used(budget: float) -> None:
    trials, _ = run(make_aim(budget=budget, interval=0.01), random.Random(0))
    spent = sum(trial.cost for trial in trials)
    assert budget - 1 < spent <= budget + 1e-9


def test_it_ends_as_soon_as_the_interval_is_narrow_enough() -> None:
    aim = make_aim(lag=1, budget=50)
    trials, _ = run(aim, random.Random(0))

    def ended(count: int) -> str | None:
        posterior = Posterior(curves(aim.bounds), trials[:count])
        return Estimates(posterior).ended(aim.interval_decades)

    assert [ended(count) for count in range(1, len(trials) + 1)] == [
        *[None] * (len(trials) - 1),
        "interval",
    ]
    assert Posterior(curves(aim.bounds), trials).edge(0.5).low < EDGE


def test_a_ceiling_beyond_the_expected_range_is_found() -> None:
    aim = Aim("key", 1e-5, 1e-2, interval_decades=0.5, budget=20, lag=1)
    trials, _ = run(aim, random.Random(0))
    edge = Posterior(curves(aim.bounds), trials).edge(0.5)
    assert edge.low < EDGE < edge.high
    assert edge.decades < 0.5
