"""The band of initial scales: both edges are found, and the lower one as the upper one is."""

import math
import random
from collections.abc import Sequence

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence import initialisation
from lr_ceiling.evidence.initialisation import (
    BUDGET,
    SIGN,
    EdgeSearch,
    Side,
    band_of,
    existence,
    reciprocal,
    search_all,
    width,
)
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.search.estimates import Estimate

TEMPLATE = small_spec("d")
# Stable from a fiftieth of Glorot's scale to three hundred times it.
LOWEST, HIGHEST = 1 / 50, 300.0
# Of a seed's luck, uniform in 0.9 to 1.1, one end in ten is too much within this of an edge.
LUCKY = 1.08
UNSCALED = [small_run(seed=seed) for seed in range(12)]


class Oracle:
    """Runs whose band of stable scales is known, up to a little luck; it counts them."""

    def __init__(self, lowest: float = LOWEST, highest: float = HIGHEST) -> None:
        self.ran: list[RunSpec] = []
        self._lowest, self._highest = lowest, highest

    def __call__(self, specs: Sequence[RunSpec]) -> list[RunResult]:
        self.ran += specs
        return [self._run(spec) for spec in specs]

    def _run(self, spec: RunSpec) -> RunResult:
        scale = spec.init_scale * random.Random(spec.seed).uniform(0.9, 1.1)
        stable = self._lowest < scale < self._highest
        return small_run(**spec.model_dump(), label="stable" if stable else "slow")


def searched(
    oracle: Oracle, unscaled: Sequence[RunResult] = UNSCALED
) -> tuple[EdgeSearch, EdgeSearch]:
    upper, lower = (EdgeSearch(TEMPLATE, side, unscaled) for side in SIGN)
    search_all([upper, lower], oracle)
    return upper, lower


@pytest.fixture(scope="module")
def band() -> tuple[EdgeSearch, EdgeSearch]:
    return searched(Oracle())


def test_both_edges_are_found(band: tuple[EdgeSearch, EdgeSearch]) -> None:
    for search, truth in zip(band, (HIGHEST / LUCKY, LOWEST * LUCKY), strict=True):
        edge, values = search.edge
        low, high = edge.ci95
        assert low is not None
        assert high is not None
        assert low < truth < high
        assert list(values) == sorted(values)
    assert band_of(*band).exists > 0.9


def test_the_width_is_the_distance_of_the_edges(band: tuple[EdgeSearch, EdgeSearch]) -> None:
    found, values = width(*band, band_of(*band))
    low, high = found.ci95
    assert low is not None
    assert high is not None
    # The edges are steps; the narrowest that the prior knows is 0.05 decades wide.
    assert low < HIGHEST / LOWEST < high * 10**0.05
    assert list(values) == sorted(values)
    middle = values[len(values) // 2]
    assert found.estimate == pytest.approx(middle, rel=0.1)


@pytest.mark.parametrize("side", SIGN)
def test_a_search_is_its_own_mirror_image(side: Side) -> None:
    search, mirrored = EdgeSearch(TEMPLATE, side, []), EdgeSearch(TEMPLATE, side, [])
    # Made for the same side, so that both look for islands in the same trials.
    mirrored.side = "lower" if side == "upper" else "upper"
    for _ in range(5):
        assert search.following is not None
        assert mirrored.following is not None
        u = math.log10(search.following.init_scale)
        stable = abs(u) < 1.5
        search.take(
            small_run(**search.following.model_dump(), label="stable" if stable else "slow")
        )
        flipped = mirrored.following.model_copy(update={"init_scale": 10**-u})
        mirrored.take(small_run(**flipped.model_dump(), label="stable" if stable else "slow"))
        assert search.following is not None
        assert mirrored.following is not None
        assert mirrored.following.init_scale == pytest.approx(1 / search.following.init_scale)


def test_runs_that_are_known_cost_nothing_and_no_seed_comes_twice() -> None:
    oracle = Oracle()
    upper, lower = searched(oracle)
    assert len(oracle.ran) == 2 * BUDGET
    assert len(upper.runs) == len(lower.runs) == len(UNSCALED) + BUDGET
    seeds = [spec.seed for spec in oracle.ran]
    assert len(set(seeds)) == len(seeds)
    assert {spec.ended_by for spec in oracle.ran} == {()}
    assert all(1e-5 <= spec.init_scale <= 1e5 for spec in oracle.ran)


def test_a_search_goes_the_same_way_alone_and_beside_others(
    band: tuple[EdgeSearch, EdgeSearch],
) -> None:
    alone = EdgeSearch(TEMPLATE, "lower", UNSCALED)
    search_all([alone], Oracle())
    assert alone.runs == band[1].runs


def test_without_an_upper_edge_there_is_a_lower_limit_only() -> None:
    pair = searched(Oracle(highest=math.inf))
    found, values = width(*pair, band_of(*pair))
    assert found.estimate is None
    assert found.ci95[0] is not None
    assert found.ci95[0] > 1e3
    assert found.ci95[1] is None
    assert not values


@pytest.mark.parametrize(
    ("budget", "found"),
    [
        # Eight runs an edge leave room for a narrow band between them.
        (BUDGET, Estimate(estimate=None, ci95=(None, None))),
        (3 * BUDGET, Estimate(estimate=1.0, ci95=(1.0, 1.0))),
    ],
)
def test_where_nothing_is_stable_for_long_the_band_has_no_width(
    budget: float, found: Estimate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(initialisation, "BUDGET", budget)
    dead = [run.model_copy(update={"label": "dead"}) for run in UNSCALED]
    pair = searched(Oracle(lowest=1e6, highest=1e6), dead)
    band = band_of(*pair)
    assert (existence(*pair, band) < 0.05) == (found.estimate == 1)
    assert existence(*pair, band) < 0.5
    assert width(*pair, band)[0] == found


def test_runs_that_both_searches_know_count_once(band: tuple[EdgeSearch, EdgeSearch]) -> None:
    """Two posteriors took the twelve runs between the edges for twenty-four."""
    again = [EdgeSearch(TEMPLATE, side, UNSCALED * 2) for side in SIGN]
    once = [EdgeSearch(TEMPLATE, side, UNSCALED) for side in SIGN]
    assert band_of(*again).exists == band_of(*once).exists
    assert list(band_of(*again).decades) == list(band_of(*once).decades)


def test_the_reciprocal_swaps_the_ends() -> None:
    found, values = reciprocal((Estimate(estimate=4.0, ci95=(2.0, None)), [2.0, 4.0, 8.0]))
    assert found == Estimate(estimate=0.25, ci95=(None, 0.5))
    assert values == [0.125, 0.25, 0.5]
