"""Runs of an arm pooled: which count, for what, and what is left out."""

import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from conftest import small_run, small_study
from lr_ceiling.evidence.measurement import Measurement
from lr_ceiling.evidence.pooling import pool, within
from lr_ceiling.evidence.records import Pooled, RunTable
from lr_ceiling.evidence.study import observation
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.search.estimates import Estimate
from lr_ceiling.search.posterior import NO_CALLS, Observation, Range

STUDY = small_study()
BOUNDS = Range(-4, 0, -6, 2)
EDGE, LOSES_FROM = 0.03, 0.003


def run(rate: float, seed: int, **changes: object) -> RunResult:
    """Stable below 0.03, give or take a seed's luck; accuracy falls from 0.003 on."""
    luck = random.Random(seed).uniform(-0.15, 0.15)
    stable = rate < EDGE * 10**luck
    accuracy = 0.98 - 0.03 * max(np.log10(rate / LOSES_FROM), 0) + 0.002 * luck
    if not stable:
        changes |= {"label": "dead", "called": "dead", "called_at": 15, "validation_accuracy": 0.1}
    return small_run(
        **{"learning_rate": rate, "seed": seed, "validation_accuracy": accuracy} | changes
    )


def runs(rates: Iterable[float], first: int) -> list[RunResult]:
    return [run(float(rate), first + place) for place, rate in enumerate(rates)]


# Around the edge.
TRIALS = runs(np.geomspace(0.01, 0.1, 14), 0)
# Some seeds at each of three points.
FRESH = runs([*[0.006] * 10, *[0.02] * 10, *[0.03] * 10], 100)
# The grid's cells: the same seeds at each rate.
CELLS = [run(rate, seed) for rate in (0.001, 0.003, 0.006, 0.01) for seed in range(1000, 1004)]


def pooled(tables: Sequence[RunTable] = (), cells: Sequence[RunResult] = ()) -> Pooled:
    return pool(STUDY, TRIALS, tables, cells).record()


@pytest.fixture(scope="module")
def alone() -> Pooled:
    return pooled()


def lr90_of(seen: Iterable[RunResult]) -> Estimate:
    found = Measurement.of(list(map(observation, seen)), BOUNDS, NO_CALLS, 0.01)
    return found.estimates.estimate(0.9)


def decades(found: Estimate) -> float:
    low, high = found.ci95
    assert low is not None
    assert high is not None
    return float(np.log10(high / low))


def test_the_search_alone_is_the_search(alone: Pooled) -> None:
    assert alone.lr90 == lr90_of(TRIALS)
    assert (alone.runs, alone.without, alone.left_out) == ({"search": 14}, {}, ())


def test_fresh_seeds_narrow_lr90_and_each_source_is_left_out_once(alone: Pooled) -> None:
    found = pooled([RunTable.of(FRESH)])
    assert found.runs == {"search": 14, "verification": 30}
    assert found.lr90 == lr90_of([*TRIALS, *FRESH])
    assert decades(found.lr90) < decades(alone.lr90)
    assert found.without == {"search": lr90_of(FRESH), "verification": alone.lr90}
    assert found.without["search"] != found.lr90


def test_runs_of_another_engine_are_left_out_and_named(alone: Pooled) -> None:
    here, there = RunTable.of(FRESH[:20]), RunTable.of(FRESH[20:])
    others = there.model_copy(update={"engine": "0123abcd"})
    assert pooled([others]) == alone.model_copy(
        update={"left_out": ("10 runs of verification by engine 0123abcd",)}
    )
    both = pooled([here, others, others])
    assert both.runs == {"search": 14, "verification": 20}
    assert both.lr90 == lr90_of([*TRIALS, *FRESH[:20]])
    # Two tables of one engine are named together.
    assert both.left_out == ("20 runs of verification by engine 0123abcd",)


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "batchnorm"},
        {"activation": "tanh"},
        {"init_scale": 3.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_runs_of_another_arm_are_none_of_it(change: dict[str, object], alone: Pooled) -> None:
    other = [run(0.01, seed, **change) for seed in range(5)]
    table = RunTable.of(other)
    assert pooled([table], other) == alone
    # They are not missed either, whoever made them.
    assert pooled([table.model_copy(update={"engine": "0123abcd"})]) == alone


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd"},
        {"epochs": 2},
        {"target_accuracy": 0.8},
        {"batch_size": 64},
        {"data_digest": "1" * 16},
    ],
    ids=lambda change: next(iter(change)),
)
def test_runs_of_other_conditions_are_left_out_and_named(
    change: dict[str, object], alone: Pooled
) -> None:
    other = [run(0.01, seed, **change) for seed in range(5)]
    told = "5 runs of verification of other data, steps, optimizer or target"
    assert pooled([RunTable.of(other)], other) == alone.model_copy(update={"left_out": (told,)})


def test_runs_of_another_processor_and_outside_the_range_are_left_out_and_named(
    alone: Pooled,
) -> None:
    there = RunTable.of(FRESH[:20]).model_copy(update={"identity": "0" * 16, "processor": "other"})
    told = ("20 runs of verification on another kind of processor (other)",)
    assert pooled([there]) == alone.model_copy(update={"left_out": told})
    # 10 ** BOUNDS.highest is 100: its score would have no place on the curve.
    far = small_run(learning_rate=300.0, seed=7)
    told = ("1 runs of verification at learning rates that may not be tried",)
    assert pooled([RunTable.of([far])]) == alone.model_copy(update={"left_out": told})


def test_the_grids_runs_move_usable_and_not_lr90(alone: Pooled) -> None:
    found = pooled(cells=CELLS)
    assert found.runs == {"search": 14, "grid": 16}
    assert (found.lr50, found.lr90, found.exists) == (alone.lr50, alone.lr90, alone.exists)
    assert (found.without, found.left_out) == ({}, ())
    assert found.usable != alone.usable
    low, high = found.usable.ci95
    # A point is lost a third of a decade above where accuracy begins to fall.
    assert low is not None
    assert high is not None
    assert low < LOSES_FROM * 10 ** (1 / 3) < high


def test_a_source_that_is_left_out_takes_none_of_the_grid_with_it() -> None:
    found = pooled([RunTable.of(FRESH)], CELLS)
    assert found.runs == {"search": 14, "verification": 30, "grid": 16}
    assert found.without == pooled([RunTable.of(FRESH)]).without
    assert set(found.without) == {"search", "verification"}


def test_the_grids_runs_where_no_search_may_go_are_left() -> None:
    ends = [Observation(u, True) for u in (-6.1, -6.0, 2.0, 2.1)]
    assert within(ends, BOUNDS) == ends[1:3]
    far = [run(1e-7, seed) for seed in range(4)]
    assert pooled(cells=[*CELLS, *far]).usable == pooled(cells=CELLS).usable
