"""The usable learning rate: what scores say of it, against plain arithmetic and known curves."""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from lr_ceiling.search import usable
from lr_ceiling.search.estimates import NOTHING
from lr_ceiling.search.posterior import Floats
from lr_ceiling.search.usable import (
    DRAWS,
    FEWEST,
    REACH,
    Response,
    Scored,
    Usable,
    next_rate,
    usable_of,
    usable_us,
)

LOW, HIGH, LOSS = -6.0, 2.0, 0.01
CEILINGS = np.linspace(-1.2, -1.0, 50)
NONE_PENDING = np.array([])


def knee(u: float) -> float:
    """Flat, and from 0.01 on falling by 3 a decade: a logit."""
    return float(4.4 - 0.3 * np.logaddexp(0, (u + 2) / 0.1))


def runs(us: Sequence[float], seed: int = 0, noise: float = 0.1) -> list[Scored]:
    rng = np.random.default_rng(seed)
    return [Scored(u, float(expit(knee(u) + noise * rng.standard_normal()))) for u in us]


FEW = runs([-3] * 4 + [-2] * 4 + [-1.7, -1.5, -1.2])
MANY = runs([*np.linspace(-4, -1.2, 60), *[-1.8] * 20])


def response(scored: Sequence[Scored], shift: float = 0.0) -> Response:
    moved = [Scored(one.u + shift, one.score) for one in scored]
    return Response(moved, LOW + shift, HIGH + shift)


def truth() -> float:
    us = np.arange(-5, -1, 0.001)
    scores = expit(np.array([knee(u) for u in us]))
    return float(us[scores >= scores.max() - LOSS].max())


@settings(deadline=None, max_examples=4)
@given(order=st.permutations(FEW))
def test_the_order_of_the_runs_changes_nothing(order: list[Scored]) -> None:
    one, other = response(FEW), response(order)
    assert usable_of(one, CEILINGS, LOSS) == usable_of(other, CEILINGS[::-1], LOSS)
    pending = np.array([-1.9])
    assert next_rate(one, pending, CEILINGS, LOSS) == next_rate(other, pending, CEILINGS, LOSS)


@settings(deadline=None, max_examples=4)
@given(shift=st.floats(-2, 2))
def test_it_moves_with_the_runs(shift: float) -> None:
    here, there = response(FEW), response(FEW, shift)
    expected = usable_us(here, CEILINGS, LOSS) + shift
    assert usable_us(there, CEILINGS + shift, LOSS) == pytest.approx(expected, abs=0.005)
    at = next_rate(here, NONE_PENDING, CEILINGS, LOSS)
    moved = next_rate(there, NONE_PENDING, CEILINGS + shift, LOSS)
    assert moved == pytest.approx(at + shift, abs=1e-6)


@settings(deadline=None, max_examples=8)
@given(losses=st.lists(st.floats(1e-4, 0.5), min_size=2, max_size=2), seed=st.integers(0, 3))
def test_who_may_lose_more_may_go_higher_and_never_above_lr90(
    losses: list[float], seed: int
) -> None:
    known = response(runs([-3, -3, -2.5, -2, -2, -1.5], seed))
    less, more = (usable_us(known, CEILINGS, loss) for loss in sorted(losses))
    assert (less <= more + 1e-9).all()
    assert more.max() <= CEILINGS.max()


@settings(deadline=None, max_examples=4)
@given(unit=st.floats(1e-3, 1e3), zero=st.floats(-10, 10))
def test_the_unit_of_a_score_does_not_matter(unit: float, zero: float) -> None:
    def found(unit: float, zero: float) -> Floats:
        scored = [Scored(one.u, unit * (one.score + zero)) for one in FEW]
        us = usable_us(Response(scored, LOW, HIGH, "identity"), CEILINGS, unit * LOSS)
        # Rounding may take one draw for its neighbour, which shows where they are rare.
        return np.asarray(np.quantile(us, np.linspace(0.05, 0.95, 19)))

    assert found(unit, zero) == pytest.approx(found(1.0, 0.0), abs=0.02)


def test_many_runs_find_where_the_curve_falls() -> None:
    found = usable_of(response(MANY), CEILINGS, LOSS)
    low, high = found.ci95
    assert found.estimate is not None
    assert low is not None
    assert high is not None
    assert low <= 10 ** truth() <= high
    assert math.log10(high / low) < 0.25
    assert found.settled()
    assert not found.settled(0.01)
    assert found.exists == 1
    best = found.best_score
    assert best.ci95[0] is not None
    assert best.ci95[1] is not None
    assert best.ci95[0] <= expit(4.4) <= best.ci95[1]
    assert found.best_rate.estimate is not None
    assert found.best_rate.estimate < found.estimate


def test_a_curve_that_is_flat_up_to_the_edge_is_usable_up_to_lr90() -> None:
    rng = np.random.default_rng(0)
    flat = [Scored(u, float(expit(4 + 0.1 * rng.standard_normal()))) for u in (-3, -2, -1.1) * 5]
    values = usable_us(response(flat), CEILINGS, LOSS)
    assert np.mean(values >= CEILINGS.min()) > 0.95
    assert np.quantile(values, 0.5) == pytest.approx(np.quantile(CEILINGS, 0.5), abs=0.02)


def test_a_stray_run_that_just_counts_as_trained_moves_it_little() -> None:
    def estimate(scored: Sequence[Scored]) -> float:
        found = usable_of(response(scored), CEILINGS, LOSS).estimate
        assert found is not None
        return math.log10(found)

    more = [*FEW, *runs([-2.4] * 3, seed=1)]
    assert estimate([*more, Scored(-2.4, 0.91)]) == pytest.approx(estimate(more), abs=0.12)


def test_noise_that_is_gaussian_has_the_evidence_of_a_gaussian_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(usable, "FREEDOM", 1e6)
    us = np.array([-3.0, -3.0, -2.0, -1.5])
    y = np.array([0.1, 0.2, -0.1, -0.5])
    places, group = np.unique(us, return_inverse=True)
    covariance = np.exp(-np.abs(np.subtract.outer(places, places)))
    scale = np.array([[0.1, 0.1, 0.2, 0.4]])
    fit = usable._Fit(covariance[None], y, group, scale)
    whole = np.exp(-np.abs(np.subtract.outer(us, us))) + np.diag(scale[0] ** 2)
    expected = stats.multivariate_normal(np.zeros(4), whole).logpdf(y)
    assert fit.log_evidence[0] == pytest.approx(expected, abs=1e-3)


def test_the_curves_are_known_where_runs_are_and_unknown_elsewhere() -> None:
    known = response(MANY)
    at, away = known.drawn(np.array([-1.8])), known.drawn(np.array([1.0]))
    assert at.shape == (DRAWS, 1)
    assert at.std() < 0.1 < away.std()
    middle = np.median(known.scores[:, np.abs(known.lattice + 1.8).argmin()])
    assert middle == pytest.approx(expit(knee(-1.8)), abs=0.003)


def test_noise_is_learned_and_may_grow() -> None:
    rng = np.random.default_rng(0)
    us = np.repeat([-3.0, -2.5, -2.0], 8)
    growing = [
        Scored(u, float(expit(3 + (0.05 if u < -2.2 else 0.8) * rng.standard_normal()))) for u in us
    ]
    low, high = response(growing).noise(np.array([-3.0, -2.0]))
    assert high > 4 * low


def nothing(found: Usable) -> bool:
    return found.estimate is None and found.ci95 == (None, None)


@pytest.mark.parametrize(
    ("scored", "ceilings"),
    [([], CEILINGS), (FEW[: FEWEST - 1], CEILINGS), (FEW, NONE_PENDING)],
    ids=["no run trained", "too few", "no lr90"],
)
def test_nothing_is_said_without_runs_or_an_edge(scored: list[Scored], ceilings: Floats) -> None:
    found = usable_of(response(scored), ceilings, LOSS)
    assert nothing(found)
    assert found.exists == 0
    assert found.best_rate == found.best_score == NOTHING
    assert not found.settled()


def test_nothing_is_said_where_lr90_hardly_exists() -> None:
    found = usable_of(response(FEW), CEILINGS, LOSS, ceiling_exists=0.4)
    assert nothing(found)
    assert found.exists == pytest.approx(0.4, abs=0.01)


def test_a_curve_that_falls_from_the_lowest_rate_on_has_no_lower_limit() -> None:
    falling = [Scored(u, float(expit(2 - 1.5 * u))) for u in np.linspace(-1, 0.5, 12)]
    found = usable_of(Response(falling, LOW, HIGH), CEILINGS + 1.5, LOSS)
    assert found.estimate is None
    assert found.ci95[0] is None
    assert found.ci95[1] is not None


def test_what_may_lie_at_the_ranges_end_has_no_upper_limit() -> None:
    flat = [Scored(float(u), 0.98) for u in np.linspace(-3, 1, 12)]
    found = usable_of(response(flat), np.linspace(0.5, HIGH, 50), LOSS)
    assert found.estimate is None
    assert found.ci95[1] is None


def test_the_next_run_goes_where_the_curve_may_cross() -> None:
    known = response(runs([-3] * 4 + [-2.5] * 4 + [-1.3]))
    chosen = next_rate(known, NONE_PENDING, CEILINGS, LOSS)
    assert -2.4 < chosen < -1.3
    others = next_rate(known, np.array([chosen] * 3), CEILINGS, LOSS)
    assert known.lowest - REACH <= others <= CEILINGS.max()
    assert others != chosen


def test_no_run_goes_where_none_trains() -> None:
    known = response(runs([-3] * 4 + [-2.5] * 4))
    assert next_rate(known, NONE_PENDING, np.linspace(-2.2, -2.1, 20), LOSS) <= -2.1


def test_the_first_runs_go_below_lr90() -> None:
    nobody = response([])
    first = next_rate(nobody, NONE_PENDING, CEILINGS, LOSS)
    second = next_rate(nobody, np.array([first]), CEILINGS, LOSS)
    assert LOW < second < first < CEILINGS.min()


def test_a_fit_and_a_choice_take_some_hundredths_of_a_second() -> None:
    took = []
    for seed in range(5):
        known = response(runs([-3] * 4 + [-2] * 4 + [-1.7, -1.5, -1.9, -2.2, -2.5, -1.3], seed))
        began = time.process_time()
        next_rate(known, np.array([-2.3, -1.6, -1.4]), CEILINGS, LOSS)
        took.append(time.process_time() - began)
    assert min(took) < 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scored": [Scored(-2, math.nan)]}, "a score is nan"),
        ({"scored": [Scored(-2, math.inf)], "link": "identity"}, "a score is inf"),
        ({"scored": [Scored(-2, 1.2)]}, "use link='identity'"),
        ({"scored": [Scored(3, 0.9)]}, "widen the range"),
    ],
)
def test_impossible_runs_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Response(low=LOW, high=HIGH, **given)


@pytest.mark.parametrize("loss", [0, -0.01, math.nan, math.inf])
def test_an_impossible_loss_is_refused(loss: float) -> None:
    for ask in (usable_of, usable_us):
        with pytest.raises(ValueError, match="loss is"):
            ask(response(FEW), CEILINGS, loss)
    with pytest.raises(ValueError, match="loss is"):
        next_rate(response(FEW), NONE_PENDING, CEILINGS, loss)


def test_without_an_edge_there_is_no_next_run() -> None:
    with pytest.raises(ValueError, match="no value of lr90"):
        next_rate(response(FEW), NONE_PENDING, np.array([]), LOSS)


def test_perfect_accuracies_are_no_trouble() -> None:
    perfect = [Scored(u, 1.0) for u in (-3, -3, -2.5, -2, -2, -1.5)]
    assert np.isfinite(usable_us(response(perfect), CEILINGS, LOSS)).all()
