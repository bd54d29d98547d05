"""The schedule of a study: deterministic, within its budget, and no longer than it has to be."""

import random
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lr_ceiling.search.estimates import DOUBTFUL, Estimates
from lr_ceiling.search.posterior import Calls, Observation, Posterior, Tally, curves
from lr_ceiling.search.schedule import PARTS, Aim, Part, Question, Schedule, is_doubtful
from lr_ceiling.search.usable import scored_of, usable_below

Runs = Callable[[int, float], Observation]

QUESTION = Question(
    1e-4, 1, 0.3, 15, seed=7, lag=3, confirmations=4, usable_runs=5, usable_loss=0.02
)
AUDITED_CALLS = Calls(Tally(59, 1), Tally(7))

EDGE = -1.3


def outcome(index: int, u: float) -> Observation:
    stable = u < EDGE + random.Random(index).uniform(-0.1, 0.1)
    if stable:
        return Observation(u, stable)
    return Observation(u, stable, called="failure", ended=True, cost=0.1)


def make_aim(lag: int = 4, budget: float = 10, interval: float = 0.5) -> Aim:
    return Aim("key", 1e-4, 1, interval_decades=interval, budget=budget, lag=lag)


def run(aim: Aim, order: random.Random, runs: Runs = outcome) -> tuple[list[Observation], int]:
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
        done[index] = runs(index, under_way.pop(index))


def test_the_aim_of_a_question_is_what_it_asks() -> None:
    aim = QUESTION.aim("identity", AUDITED_CALLS)
    asked = asdict(QUESTION)
    del asked["seed"]
    assert asdict(aim) == asked | {"key": aim.key, "calls": AUDITED_CALLS}
    assert aim.limits == pytest.approx((1e-6, 100))
    assert aim.most_runs == 24


def test_the_key_of_a_study_is_that_of_stored_studies() -> None:
    """With another key their seeds would differ, and their results would be lost."""
    assert QUESTION.aim({"version": 1}, AUDITED_CALLS).key == "d1757286b0f09ce5"


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


# An lr90 of which one run in nine says otherwise, and a score that falls below it.
GRADED = replace(make_aim(budget=8, interval=0.5), confirmations=4, usable_runs=3, usable_loss=0.01)


def graded(index: int, u: float) -> Observation:
    luck = random.Random(index).uniform(-0.1, 0.1)
    if u >= EDGE + luck or index % 9 == 4:
        return Observation(u, False, called="failure", ended=True, cost=0.1)
    return Observation(u, True, score=0.98 - 0.04 * max(u - EDGE + 1, 0) + 0.01 * luck)


def in_order(schedule: Schedule, runs: Runs = graded) -> list[Observation]:
    """All trials, one after the other."""
    done: dict[int, Observation] = {}
    while schedule.may_start(done):
        u = schedule.propose()
        done[schedule.index] = runs(schedule.index, u)
        schedule.started(u)
    return [done[index] for index in range(schedule.index)]


@cache
def graded_in_order() -> tuple[list[Observation], list[Part]]:
    schedule = Schedule(GRADED)
    return in_order(schedule), schedule.parts


def test_the_parts_come_one_after_the_other() -> None:
    trials, parts = graded_in_order()
    assert parts == sorted(parts, key=PARTS.index)
    assert set(parts) == set(PARTS)
    edges = parts.count("edge")
    assert sum(one.cost for one in trials[:edges]) <= GRADED.budget
    assert parts.count("confirm") <= GRADED.confirmations
    assert parts.count("usable") <= GRADED.usable_runs
    # Confirming seeds begin at lr90's lower limit by the edge's trials, and none is above it.
    confirming = [one.u for one, part in zip(trials, parts, strict=True) if part == "confirm"]
    limit = Posterior(curves(GRADED.bounds), trials[:edges]).edge(0.9).low
    assert confirming[0] == limit == max(confirming)
    assert max(one.u for one in trials[parts.index("usable") :]) < EDGE


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_endings_does_not_matter_in_any_part(seed: int) -> None:
    trials, most = run(GRADED, random.Random(seed), graded)
    assert trials == graded_in_order()[0]
    assert 1 < most <= GRADED.lag


def of_edge(schedule: Schedule, trials: list[Observation], extra: int = 0) -> Posterior:
    count = schedule.parts.count("edge") + extra
    return Posterior(curves(GRADED.bounds), trials[:count])


@pytest.mark.parametrize("lag", [1, 4])
def test_confirming_stops_as_soon_as_it_is_told(lag: int) -> None:
    """Fresh seeds that are all stable say that there is an lr90."""
    schedule = Schedule(replace(GRADED, lag=lag, confirmations=40, usable_runs=0))

    def confirmed(index: int, u: float) -> Observation:
        if schedule.part == "confirm":
            return Observation(u, True)
        return graded(index, u)

    trials = in_order(schedule, confirmed)
    count = schedule.parts.count("confirm")
    assert 1 < count < 40
    doubts = [is_doubtful(of_edge(schedule, trials, known)) for known in range(count + 1)]
    assert doubts == [*[True] * count, False]
    assert of_edge(schedule, trials, count).edge(0.9).exists > 0.5


def test_where_seeds_fail_at_the_limit_the_next_ones_go_below_it() -> None:
    """Else they only move lr90 below where they are, and whether it exists stays open."""
    schedule = Schedule(replace(GRADED, lag=1, confirmations=60, usable_runs=0))

    def mostly(index: int, u: float) -> Observation:
        if schedule.part == "confirm":
            return Observation(u, index % 5 > 1)
        return graded(index, u)

    trials = in_order(schedule, mostly)
    confirming = trials[schedule.parts.count("edge") :]
    limit = confirming[0].u
    assert {one.u for one in confirming if one.u < limit}
    for count, one in enumerate(confirming, start=schedule.parts.count("edge")):
        known = Posterior(curves(GRADED.bounds), trials[:count]).edge(0.9)
        assert one.u == pytest.approx(min(limit, known.low))
    assert len(confirming) < 60
    assert schedule.posterior().edge(0.9).exists <= DOUBTFUL[0]


def test_where_the_edge_was_not_found_no_seed_confirms_it() -> None:
    schedule = Schedule(replace(GRADED, confirmations=40))

    def hardly_ever(index: int, u: float) -> Observation:
        if index % 8 == 0:
            return graded(index, u)
        return Observation(u, False, called="failure", ended=True, cost=0.2)

    in_order(schedule, hardly_ever)
    assert set(schedule.parts) == {"edge"}
    assert schedule.posterior().edge(0.9).exists < 0.1


def test_so_many_seeds_confirm_at_most() -> None:
    schedule = Schedule(replace(GRADED, confirmations=3, usable_runs=0))

    def undecided(index: int, u: float) -> Observation:
        if schedule.part == "confirm":
            return Observation(u, index % 5 > 0)
        return graded(index, u)

    trials = in_order(schedule, undecided)
    assert schedule.parts.count("confirm") == 3
    assert is_doubtful(of_edge(schedule, trials, 3))


def test_where_lr90_lies_beyond_what_may_be_tried_looking_for_it_ends() -> None:
    aim = make_aim(budget=50, lag=1)
    schedule = Schedule(aim)
    trials = in_order(schedule, lambda index, u: Observation(u, True))
    assert len(trials) < 15

    def ended(count: int) -> str | None:
        posterior = Posterior(curves(aim.bounds), trials[:count])
        return Estimates(posterior).ended(aim.interval_decades)

    assert [ended(count) for count in range(1, len(trials) + 1)] == [
        *[None] * (len(trials) - 1),
        "range",
    ]


def test_without_scores_there_is_nothing_to_look_for_below_the_edge() -> None:
    schedule = Schedule(GRADED)
    trials = in_order(schedule, lambda index, u: graded(index, u)._replace(score=None))
    assert "usable" not in schedule.parts
    # The parts before it are what they were.
    before = [one._replace(score=None) for one in graded_in_order()[0][: len(trials)]]
    assert trials == before
    assert schedule.parts == graded_in_order()[1][: len(trials)]


def test_where_success_is_called_early_the_first_scores_are_those_of_usable_runs() -> None:
    schedule = Schedule(GRADED)

    def called(index: int, u: float) -> Observation:
        one = graded(index, u)
        if not one.stable or schedule.part == "usable":
            return one
        return one._replace(called="success", ended=True, cost=0.4, score=None)

    trials = in_order(schedule, called)
    assert schedule.parts.count("usable") == GRADED.usable_runs
    assert all(one.score is None for one in trials[: -GRADED.usable_runs])


def test_where_full_runs_tell_no_score_one_of_them_is_enough() -> None:
    schedule = Schedule(GRADED)

    def called(index: int, u: float) -> Observation:
        one = graded(index, u)._replace(score=None)
        if not one.stable or schedule.part == "usable":
            return one
        return one._replace(called="success", ended=True, cost=0.4)

    in_order(schedule, called)
    assert schedule.parts.count("usable") == 1


def test_where_there_is_probably_no_lr90_no_run_looks_below_it() -> None:
    schedule = Schedule(replace(GRADED, confirmations=12))

    def seldom(index: int, u: float) -> Observation:
        return graded(index, u) if index % 4 == 0 else Observation(u, False)

    trials = in_order(schedule, seldom)
    assert any(one.score is not None for one in trials)
    assert 0.1 < schedule.posterior().edge(0.9).exists < 0.5
    assert schedule.parts.count("confirm") == 12
    assert "usable" not in schedule.parts


@pytest.mark.parametrize("lag", [1, 4])
def test_runs_below_the_edge_end_when_usable_is_narrow_enough(lag: int) -> None:
    schedule = Schedule(replace(GRADED, lag=lag, usable_runs=60))
    trials = in_order(schedule)
    assert 1 < schedule.parts.count("usable") < 25

    def settled(count: int) -> bool:
        posterior = Posterior(curves(GRADED.bounds), trials[:count])
        return usable_below(posterior, scored_of(trials[:count]), 0.01).settled()

    assert settled(len(trials))
    # With more under way, what was known when the last one began was less.
    assert not settled(len(trials) - lag)
