"""Range tests: what they read from a sweep, and a sweep of the real network."""

from pathlib import Path

import numpy as np
import pytest

from lr_ceiling.evidence.range_tests import (
    FINDERS,
    LAST,
    Finder,
    smoothed,
    steepest,
    stopped_at,
    sweep,
    valley,
)


def test_smoothing_takes_the_bias_of_the_start_out() -> None:
    assert smoothed([2.0, 2.0, 2.0], 0.98) == pytest.approx([2, 2, 2])
    assert smoothed([1.0, 3.0], 0.5)[1] == pytest.approx((0.25 * 1 + 0.5 * 3) / 0.75)
    assert smoothed([1.0, 3.0], 0.0).tolist() == [1, 3]


def test_a_sweep_stops_where_the_loss_has_grown_fourfold() -> None:
    assert stopped_at(np.array([2.0, 1.0, 3.9, 4.1, 1.0])) == 3
    assert stopped_at(np.array([2.0, np.nan])) == 1
    assert stopped_at(np.array([2.0, 1.0])) == 2


def test_the_valley_is_half_way_down_the_longest_fall() -> None:
    flat, fall = np.full(30, 2.3), np.linspace(2.3, 0.3, 31)[1:]
    losses = np.concatenate([flat, fall, np.linspace(0.4, 5, 10)])
    # The fall is 30 steps and the one before it: from 28 to 59, a third in is 38, a half of it 43.
    assert valley(losses) == 28 + 10 + 5


def test_the_steepest_is_where_twenty_steps_fall_most() -> None:
    losses = np.concatenate([np.full(50, 2.3), np.linspace(2.3, 0.3, 20), np.full(30, 0.3)])
    assert steepest(losses) == pytest.approx(69, abs=1)
    assert steepest(np.array([1.0])) == 0


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.name)
def test_a_sweep_is_read_with_its_ends_left_out(finder: Finder) -> None:
    steps = finder.steps
    fall = int(0.7 * steps)
    losses = [*np.linspace(2.3, 0.3, fall), *([50.0] * (steps - fall))]
    suggestion, edge, stopped = finder.read(losses)
    assert stopped
    rates = finder.rates()
    assert rates[finder.first] <= suggestion < edge
    assert edge >= rates[fall]
    assert suggestion <= rates[-LAST]
    first, *_ = finder.read([2.3, 2.2, np.nan])
    assert first == rates[2]
    falling = np.linspace(2.3, 0.3, steps).tolist()
    assert finder.read(falling)[1:] == (rates[-1], False)


@pytest.mark.parametrize("finder", FINDERS, ids=lambda finder: finder.name)
def test_a_real_sweep_says_something_and_says_it_again(finder: Finder, small_splits: Path) -> None:
    short = Finder(
        finder.name, finder.start, finder.end, 60, finder.beta, finder.first, finder.suggest
    )
    found = sweep(short, "baseline", "relu", "adam", 0, small_splits)
    assert short.start < found[0] < found[1] <= short.end * 1.001
    assert found == sweep(short, "baseline", "relu", "adam", 0, small_splits)
