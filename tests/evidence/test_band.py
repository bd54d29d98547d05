"""The band of scales: one posterior of both edges, on trials with known answers."""

import numpy as np
import pytest
from scipy.special import expit

from lr_ceiling.evidence.band import Band
from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Observation, Range

# Narrower than those of initial scales: the cost grows with the square of the range.
UPPER, LOWER = Range(0, 3, -1, 4), Range(-3, 0, -4, 1)


def band(trials: list[Observation]) -> Band:
    return Band(trials, UPPER, LOWER, 0.9)


def between(low: float, high: float) -> list[Observation]:
    """Trials of which those between the two are stable, every fifth of a decade; twelve at 0."""
    us = [*np.arange(-4, 4, 0.2), *[0.0] * 12]
    return [Observation(float(u), stable=bool(low < u < high)) for u in us]


def test_the_width_is_the_distance_of_two_sharp_edges() -> None:
    found = band(between(-1.5, 2.1))
    assert found.exists > 0.99
    low, middle, high = np.quantile(found.decades, (0.025, 0.5, 0.975))
    assert low < 3.6 < high
    assert middle == pytest.approx(3.6, abs=0.2)
    assert high - low < 1.2
    assert list(found.decades) == sorted(found.decades)


def test_a_band_and_its_mirror_image_are_as_wide() -> None:
    trials = between(-1.5, 2.1)
    mirrored = [one._replace(u=-one.u) for one in trials]
    shares = (0.025, 0.5, 0.975)
    assert np.quantile(band(mirrored).decades, shares) == pytest.approx(
        np.quantile(band(trials).decades, shares), abs=0.05
    )


def test_the_order_of_the_trials_says_nothing() -> None:
    trials = between(-1.5, 2.1)
    assert list(band(trials[::-1]).decades) == pytest.approx(list(band(trials).decades))


def test_failures_within_the_band_are_of_both_edges() -> None:
    trials = between(-2, 2)
    failed = [one._replace(stable=False) if one.u == 0 and i % 3 == 0 else one
              for i, one in enumerate(trials)]  # fmt: skip
    assert band(trials).exists > 0.95 > 0.5 > band(failed).exists


def test_where_nothing_is_stable_there_is_no_band() -> None:
    found = band(between(9, 9))
    assert found.exists < 0.05


def test_the_interval_covers_known_widths() -> None:
    covered = 0
    for study in range(12):
        generator = np.random.default_rng(study)
        theta, phi = generator.uniform(0.8, 2.5), -generator.uniform(0.8, 2.5)
        scale = 0.3 / WIDTH_OF_SCALE
        edges = theta + generator.normal(0, 0.4, 8), phi + generator.normal(0, 0.4, 8)
        us = np.concatenate([np.zeros(12), *edges])
        p = expit((theta - us) / scale) * expit((us - phi) / scale)
        stable = generator.random(len(us)) < p
        trials = [Observation(float(u), bool(one)) for u, one in zip(us, stable, strict=True)]
        low, high = np.quantile(band(trials).decades, (0.025, 0.975))
        # P(stable) is 0.9 half a transition inside each edge's middle.
        covered += low <= theta - phi - 0.3 <= high
    # At 0.95 each, ten of twelve or more with probability 0.98.
    assert covered >= 10
