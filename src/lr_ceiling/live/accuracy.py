"""What a promotion is decided on: one model, or two of them, on the same gate images.

scipy has the binomial test and Wilson's interval. Neither it nor scikit-learn has Tango's interval
or the calibration error, and no library that has them is worth an addition to the runtime's lock.
"""

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from lr_ceiling.execution.record import Record
from lr_ceiling.mnist.dataset import Bytes

Probabilities: TypeAlias = NDArray[np.float32]

LEVEL = 0.95
# Two-sided: 2.5% on either side.
Z = float(norm.ppf((1 + LEVEL) / 2))
# The customary number of confidence bins (Guo et al. 2017).
BINS = 15
# How near to an end of its bracket a limit is searched: the score is 0/0 at the ends themselves.
EDGE = 1e-12


class Estimate(Record):
    """A proportion or a difference of two, with its 95% interval."""

    estimate: float
    ci95: tuple[float, float]


class WorstClass(Record):
    """The digit of which a model recognises the smallest share, and that share."""

    digit: int
    recall: float


class Measured(Record):
    """One model on the gate images."""

    accuracy: Estimate
    worst_class: WorstClass
    calibration_error: float


class Paired(Record):
    """Challenger minus champion, image by image; `p_value` is the exact McNemar test's."""

    difference: Estimate
    challenger_only_right: int
    champion_only_right: int
    p_value: float


def measure(probabilities: Probabilities, labels: Bytes) -> Measured:
    """Accuracy, worst class and calibration error of probabilities (n, 10) for labels (n,)."""
    right = _right(probabilities, labels)
    return Measured(
        accuracy=accuracy(int(right.sum()), len(labels)),
        worst_class=worst_class(right, labels),
        calibration_error=calibration_error(probabilities, labels),
    )


def compare(challenger: Probabilities, champion: Probabilities, labels: Bytes) -> Paired:
    """Compare two models' probabilities (n, 10) for the same n images with labels (n,)."""
    ours, theirs = _right(challenger, labels), _right(champion, labels)
    gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    return Paired(
        difference=paired_difference(gained, lost, len(labels)),
        challenger_only_right=gained,
        champion_only_right=lost,
        p_value=mcnemar(gained, lost),
    )


def accuracy(right: int, images: int) -> Estimate:
    """The share `right` / `images` with Wilson's score interval."""
    low, high = binomtest(right, images).proportion_ci(LEVEL, method="wilson")
    return Estimate(estimate=right / images, ci95=(float(low), float(high)))


def paired_difference(gained: int, lost: int, images: int) -> Estimate:
    """The difference (gained - lost) / images of two paired proportions, with Tango's interval.

    `gained` images are right in the first alone, `lost` in the second alone. The interval holds
    every difference that the score test doesn't reject at 5%; it stays right with few discordant
    images, or none, where Wald's shrinks to a point. Tango (1998), Statistics in Medicine 17,
    891-908.
    """
    estimate = (gained - lost) / images

    def rejected_by(difference: float) -> float:
        deviation = gained - lost - images * difference
        return deviation**2 - Z**2 * _variance(difference, gained, lost, images)

    def limit(end: float) -> float:
        if estimate == end:
            return end
        inner = estimate + math.copysign(EDGE, end)
        return float(brentq(rejected_by, inner, end, xtol=EDGE))

    return Estimate(estimate=estimate, ci95=(limit(-1.0), limit(1.0)))


def mcnemar(gained: int, lost: int) -> float:
    """Two-sided p-value of the exact McNemar test: are the discordant images split evenly?"""
    discordant = gained + lost
    return float(binomtest(gained, discordant).pvalue) if discordant else 1.0


def calibration_error(probabilities: Probabilities, labels: Bytes) -> float:
    """How far a model's confidence is from its accuracy, in [0, 1]: 15 equal bins, by their size.

    The confidence of an image is its largest probability; probabilities are (n, 10).
    """
    # float32 sums of a softmax may exceed 1 by a rounding.
    confidence = np.clip(probabilities.max(axis=1), 0, 1).astype(np.float64)
    right = _right(probabilities, labels)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    excess = np.bincount(bins, confidence - right, minlength=BINS)
    return float(np.abs(excess).sum() / len(labels))


def worst_class(right: NDArray[np.bool_], labels: Bytes) -> WorstClass:
    """The class with the smallest share of `right` images (n,); the lower digit of equals."""
    digits, sizes = np.unique(labels, return_counts=True)
    recalls = np.array([right[labels == digit].sum() for digit in digits]) / sizes
    worst = int(recalls.argmin())
    return WorstClass(digit=int(digits[worst]), recall=float(recalls[worst]))


def _right(probabilities: Probabilities, labels: Bytes) -> NDArray[np.bool_]:
    return np.asarray(probabilities.argmax(axis=1) == labels)


def _variance(difference: float, gained: int, lost: int, images: int) -> float:
    """Of gained - lost, if `difference` were true: Tango's constrained maximum likelihood."""
    b = (2 * images - gained + lost) * difference - gained - lost
    c = -lost * difference * (1 - difference)
    # Rounding may leave a root that is 0 below it.
    share_lost = (math.sqrt(max(b**2 - 8 * images * c, 0.0)) - b) / (4 * images)
    return images * (2 * share_lost + difference * (1 - difference))
