"""What a promotion is decided on, against published values, brute force and textbook properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import binom

from lr_ceiling.live import accuracy
from lr_ceiling.live.accuracy import Z, compare, measure, paired_difference

LABELS = np.array([0, 0, 1, 1, 2, 2], dtype=np.uint8)


def probabilities(*predicted: tuple[int, float]) -> accuracy.Probabilities:
    """A row an image: `confidence` for the digit, the rest shared by the others."""
    rows = np.empty((len(predicted), 10), dtype=np.float32)
    for row, (digit, confidence) in zip(rows, predicted, strict=True):
        row[:] = (1 - confidence) / 9
        row[digit] = confidence
    return rows


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    """Images right in the first alone, in the second alone, and all of them."""
    images = draw(st.integers(1, 300))
    gained = draw(st.integers(0, images))
    return gained, draw(st.integers(0, images - gained)), images


def score(difference: float, gained: int, lost: int, images: int) -> float:
    """The score statistic, its constrained maximum found by a search instead of the formula."""

    def surprise(share: float) -> float:
        rest = 1 - 2 * share - difference
        likelihood = xlogy(gained, share + difference) + xlogy(lost, share)
        return float(-likelihood - xlogy(images - gained - lost, rest))

    low, high = max(0.0, -difference), (1 - difference) / 2
    share = minimize_scalar(surprise, bounds=(low, high), options={"xatol": 1e-12}).x
    variance = images * (2 * share + difference * (1 - difference))
    return float((gained - lost - images * difference) / math.sqrt(variance))


@pytest.mark.parametrize(
    ("table", "ci95"),
    [
        # Bentur et al. 2009, as in Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33.
        ((1, 7, 21), (-0.517, -0.026)),
        # Without a discordant image the interval is +-z^2 / (n + z^2).
        ((0, 0, 5000), (-0.000768, 0.000768)),
        ((5, 0, 5), (0.131, 1)),
    ],
)
def test_tangos_interval_has_known_values(
    table: tuple[int, int, int], ci95: tuple[float, float]
) -> None:
    assert paired_difference(*table).ci95 == pytest.approx(ci95, abs=5e-4)


@given(table=tables().filter(lambda table: table[0] > 0 and 0 < table[1] < table[2] - table[0]))
def test_tangos_limits_are_where_the_score_test_begins_to_reject(
    table: tuple[int, int, int],
) -> None:
    low, high = paired_difference(*table).ci95
    assert score(low, *table) == pytest.approx(Z, rel=1e-4)
    assert score(high, *table) == pytest.approx(-Z, rel=1e-4)


@given(table=tables())
def test_tangos_interval_holds_the_estimate_and_mirrors(table: tuple[int, int, int]) -> None:
    gained, lost, images = table
    found = paired_difference(gained, lost, images)
    low, high = found.ci95
    assert -1 <= low <= found.estimate <= high <= 1
    assert low < high
    mirrored = paired_difference(lost, gained, images)
    assert mirrored.ci95 == pytest.approx((-high, -low), abs=1e-9)


@given(gained=st.integers(0, 60), lost=st.integers(0, 60))
def test_mcnemar_is_the_share_of_splits_that_are_as_uneven(gained: int, lost: int) -> None:
    discordant = gained + lost
    chances = binom.pmf(np.arange(discordant + 1), discordant, 0.5)
    as_rare = chances <= chances[gained] * (1 + 1e-7)
    assert accuracy.mcnemar(gained, lost) == pytest.approx(chances[as_rare].sum())


def test_accuracy_has_wilsons_interval() -> None:
    # Newcombe 1998, Statistics in Medicine 17, method 3.
    found = accuracy.accuracy(81, 263)
    assert found.estimate == pytest.approx(0.308, abs=5e-4)
    assert found.ci95 == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_calibration_is_the_gap_between_confidence_and_accuracy() -> None:
    # Two bins: four images at 0.9 of which two are right, two at 0.6 of which both are.
    given = probabilities((0, 0.9), (0, 0.9), (0, 0.9), (0, 0.9), (2, 0.6), (2, 0.6))
    expected = (4 * abs(0.9 - 0.5) + 2 * abs(0.6 - 1)) / 6
    assert accuracy.calibration_error(given, LABELS) == pytest.approx(expected)


def test_calibration_takes_a_confidence_that_was_rounded_above_1() -> None:
    given = probabilities(*[(label, 1.0) for label in LABELS])
    given[0, 0] = np.nextafter(np.float32(1), np.float32(2))
    assert accuracy.calibration_error(given, LABELS) == 0


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0.2, 1)), min_size=6, max_size=6),
)
def test_calibration_agrees_with_a_loop(predicted: list[tuple[int, float]]) -> None:
    given = probabilities(*predicted)
    total = 0.0
    for number in range(accuracy.BINS):
        confidence = given.max(axis=1).astype(float)
        low, high = number / accuracy.BINS, (number + 1) / accuracy.BINS
        chosen = (confidence >= low) & (confidence < high)
        if number == accuracy.BINS - 1:
            chosen |= confidence == 1
        if chosen.any():
            right = (given.argmax(axis=1) == LABELS)[chosen]
            total += chosen.mean() * abs(confidence[chosen].mean() - right.mean())
    assert accuracy.calibration_error(given, LABELS) == pytest.approx(total, abs=1e-6)


def test_a_model_is_measured_by_its_worst_class_too() -> None:
    measured = measure(
        probabilities((0, 1), (0, 1), (1, 1), (7, 1), (2, 1), (2, 1)), LABELS
    )  # fmt: skip
    assert measured.accuracy.estimate == pytest.approx(5 / 6)
    assert (measured.worst_class.digit, measured.worst_class.recall) == (1, 0.5)


def test_models_are_compared_image_by_image() -> None:
    challenger = probabilities((0, 1), (0, 1), (1, 1), (7, 1), (7, 1), (7, 1))
    champion = probabilities((0, 1), (7, 1), (7, 1), (1, 1), (7, 1), (7, 1))
    paired = compare(challenger, champion, LABELS)
    assert (paired.challenger_only_right, paired.champion_only_right) == (2, 1)
    assert paired.difference == paired_difference(2, 1, 6)
    assert paired.p_value == 1
