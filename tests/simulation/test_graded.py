"""The graded oracles are what they say, and the usable phase finds what they hide."""

import numpy as np
import pytest

from lr_ceiling.search.posterior import Floats
from lr_ceiling.search.usable import Response
from lr_ceiling.simulation.graded import GRADED, JUST, LOSS, RUNS, Graded
from lr_ceiling.simulation.studies import network
from simulation.usable_part import (
    GRID_SEEDS,
    GRID_US,
    LAG,
    judged,
    phase,
    spread_out,
    study,
    summarise,
)


def graded(name: str) -> Graded:
    found = network(name)
    assert isinstance(found, Graded)
    return found


each = pytest.mark.parametrize("oracle", GRADED, ids=lambda oracle: oracle.name)


@each
def test_usable_is_the_highest_rate_below_lr90_that_loses_no_more(oracle: Graded) -> None:
    usable, lr90 = oracle.below(), oracle.lr90()
    below = np.linspace(-4, lr90, 2000)
    best = oracle.typical(below).max()
    assert usable <= lr90
    assert oracle.typical(np.array([usable]))[0] >= best - LOSS - 1e-9
    above = np.linspace(usable + 0.01, lr90, 500)
    assert usable > lr90 - 0.01 or (oracle.typical(above) < best - LOSS + 1e-3).all()
    assert oracle.stable(np.array([lr90]))[0] == pytest.approx(0.9)


@each
def test_runs_have_the_typical_score_and_train_as_often_as_it_says(oracle: Graded) -> None:
    rng = np.random.default_rng(0)
    for x in (oracle.below(), oracle.top):
        scores = [oracle.score(x, rng) for _ in range(1000)]
        trained = [score for score in scores if score is not None]
        at = np.array([x])
        assert len(trained) / 1000 == pytest.approx(oracle.stable(at)[0], abs=0.06)
        spread = 4 * (np.quantile(trained, 0.6) - np.quantile(trained, 0.4))
        assert abs(np.median(trained) - oracle.typical(at)[0]) < spread / 4


def test_usable_is_cut_by_the_edge_where_the_curve_is_flat_up_to_it() -> None:
    for name in ("cut", "two-modes-cut"):
        assert graded(name).below() > graded(name).lr90() - 0.1
    assert graded("knee").below() < graded("knee").lr90() - 0.3


def test_with_two_modes_some_that_train_just_do_so() -> None:
    oracle, rng = graded("two-modes"), np.random.default_rng(0)
    scores = [oracle.score(-0.1, rng) for _ in range(400)]
    just = np.mean([JUST[0] <= score <= JUST[1] for score in scores if score is not None])
    assert 0.15 < just < 0.4
    far = [oracle.score(-2.0, rng) for _ in range(200)]
    assert min(score for score in far if score is not None) > JUST[1]


def test_a_phase_has_the_grids_runs_and_its_own_and_is_the_same_again() -> None:
    once, again = (phase(graded("knee"), 3, runs=2) for _ in range(2))
    assert once.runs == again.runs
    assert [u for u, _ in once.runs[:-2]] == list(np.repeat(GRID_US, GRID_SEEDS))
    assert len(once.response(0).scored) <= len(once.response(2).scored)
    assert study(graded("knee"), 3, runs=2) == judged(once, 2)


def test_a_run_knows_no_score_of_those_under_way() -> None:
    seen: list[tuple[int, int]] = []

    def place(response: Response, pending: Floats, ceilings: Floats, loss: float) -> float:
        seen.append((len(response.scored), len(pending)))
        return spread_out(response, pending, ceilings, loss)

    flat = Graded("flat", lambda x: np.full(np.shape(x), 4.0), top=2.4)
    phase(flat, 0, runs=RUNS, place=place)
    grid = len(GRID_US) * GRID_SEEDS
    assert seen == [(grid + max(run - LAG + 1, 0), min(run, LAG - 1)) for run in range(RUNS)]


def test_a_summary_counts_what_is_covered_and_leaves_out_what_has_no_number() -> None:
    found = {"covered": 1.0, "bounded": 1.0, "error": -0.1, "decades": 0.4}
    unbounded = {"covered": 0.0, "bounded": 0.0, "error": np.nan, "decades": np.nan}
    expected = {"covered": 0.5, "bounded": 0.5, "bias": -0.1, "error": 0.1, "decades": 0.4}
    assert summarise([found, unbounded]) == expected


def test_few_studies_cover_the_truth_and_are_narrower_with_their_own_runs() -> None:
    before, after = [], []
    for name in ("knee", "slope", "cut", "peak"):
        for seed in range(4):
            played = phase(graded(name), seed)
            before.append(judged(played, 0))
            after.append(judged(played, RUNS))
    assert summarise(after)["covered"] >= 0.8
    assert summarise(after)["decades"] < 0.5 < summarise(before)["decades"]
