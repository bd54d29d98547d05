"""What runs say of an arm's ceilings, whichever runs they are."""

from collections.abc import Sequence

import numpy as np
import pytest

from lr_ceiling.evidence.measurement import Measurement, usable_rate
from lr_ceiling.search.estimates import NOTHING
from lr_ceiling.search.posterior import NO_CALLS, Observation, Range

BOUNDS = Range(-4, 0, -6, 2)


def graded(us: Sequence[float]) -> list[Observation]:
    """Trains below -1.5, and loses accuracy from -2.5 on."""
    return [
        Observation(u, True, score=0.98 - 0.05 * max(u + 2.5, 0))
        if u < -1.5
        else Observation(u, False)
        for u in us
    ]


TRIALS = graded(list(np.linspace(-3.5, -0.5, 40)))


@pytest.fixture(scope="module")
def found() -> Measurement:
    return Measurement.of(TRIALS, BOUNDS, NO_CALLS, 0.01)


def test_usable_lies_where_a_point_is_lost_and_below_lr90(found: Measurement) -> None:
    usable, values = found.measured("usable")
    lr90, _ = found.measured("lr90")
    low, high = usable.ci95
    assert usable.estimate is not None
    assert low is not None
    assert high is not None
    assert lr90.estimate is not None
    # A point below the best is two tenths of a decade on.
    assert low < 10**-2.3 < high < lr90.estimate
    assert list(values) == sorted(values)
    assert np.quantile(values, (0.025, 0.5, 0.975)) == pytest.approx(
        (low, usable.estimate, high), rel=0.03
    )


def test_a_record_of_it_holds_the_best_as_well(found: Measurement) -> None:
    record = usable_rate(found.usable)
    assert (record.estimate, record.ci95) == (found.usable.estimate, found.usable.ci95)
    assert (record.loss, record.exists, record.reason) == (0.01, found.usable.exists, None)
    assert record.best.accuracy == pytest.approx(0.98, abs=0.003)
    assert record.best.learning_rate == found.usable.best_rate.estimate


def test_who_asks_for_no_usable_rate_gets_a_reason() -> None:
    unasked = Measurement.of(TRIALS, BOUNDS, NO_CALLS, None)
    assert unasked.usable.reason == "nobody asked how much accuracy may be lost"
    assert unasked.measured("usable") == (NOTHING, [])
    assert unasked.measured("lr90")[1]


def test_the_order_of_the_runs_is_no_matter(found: Measurement) -> None:
    back = Measurement.of(TRIALS[::-1], BOUNDS, NO_CALLS, 0.01)
    assert back.exists == pytest.approx(found.exists, abs=1e-3)
    assert back.usable.estimate == pytest.approx(found.usable.estimate, rel=0.02)
    assert back.estimates.estimate(0.9) == found.estimates.estimate(0.9)


def test_of_other_runs_the_scores_count_alone(found: Measurement) -> None:
    bare = [one._replace(score=None) for one in TRIALS]
    alone = Measurement.of(bare, BOUNDS, NO_CALLS, 0.01)
    assert alone.usable.estimate is None
    others = graded([-3.4, -3.0, -2.6, -2.4, -2.2, -2.0, -1.9, -1.8])
    lost = [Observation(-3.0, False)] * 30
    beside = Measurement.of(bare, BOUNDS, NO_CALLS, 0.01, [*others, *lost])
    assert beside.usable.estimate is not None
    assert beside.exists == alone.exists
    assert beside.measured("lr90") == alone.measured("lr90") == found.measured("lr90")
