"""The band of log scales within which a network learns: one posterior of both edges.

With u the decimal logarithm of a scale, a fresh seed is stable with probability

    p(u) = g + (1 - g - l) sigmoid((theta - u) / s) sigmoid((u - phi) / t):

This is the family of search.posterior, but both edges are measured, so each has its own width. Two
searches, one per edge, share the runs between the edges. Here these runs count once, and both edges
share one unknown probability of a failure within the band. Two separate posteriors would count the
same runs twice.

In simulated searches with known bands (twelve runs at scale 1, eight per edge; 150 studies each of
sharp and wide edges, edges near scale 1, and one run in twenty failing) the 95% interval covers the
width in 94.0 to 98.7%. Two posteriors, treated as independent, cover 95 to 100% with intervals 1.3
times as wide; two that share no run cover 96 to 100%, 1.5 times as wide.
"""

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np

from lr_ceiling.search.posterior import (
    LAPSES,
    NOTHING_TRAINS,
    TINY,
    WIDTH_OF_SCALE,
    Floats,
    Observation,
    Range,
    even_shares,
)

# Distance between candidates of an edge, in decades: eight runs bound no edge closer than .2.
STEP = 0.05
# Transition widths in decades, from p = 0.9 to 0.1; their weights are as in search.posterior.
WIDTHS = 0.05 * 3.0 ** np.arange(4)
WIDTH_WEIGHTS = WIDTHS**-0.25 / np.sum(WIDTHS**-0.25)
# The prior of an edge falls tenfold with each decade outside the range where it is expected.
DECAY = 1.0
# Number of curves that represent the posterior, and of fixed-point steps to their edges.
DRAWS, ROOT_STEPS = 4000, 40


class Band:
    """The posterior of the band, given trials that ran to their end; u is the log of the scale."""

    def __init__(
        self, trials: Iterable[Observation], upper: Range, lower: Range, target: float
    ) -> None:
        """`upper` and `lower` are the expected ranges of the edges; in the band p >= target."""
        self._target = target
        self._theta, theta_prior = _candidates(upper)
        self._phi, phi_prior = _candidates(lower)
        prior = np.einsum("a,b,c,d->abcd", theta_prior, WIDTH_WEIGHTS, phi_prior, WIDTH_WEIGHTS)
        # A lower edge above the upper one means no band, which has its own weight.
        crossed = self._theta[:, None, None, None] < self._phi[None, None, :, None]
        prior = np.where(crossed, 0, prior)
        with np.errstate(divide="ignore"):
            self._prior = np.log((1 - NOTHING_TRAINS) * prior / prior.sum())
        self._seen = Counter((one.u, one.stable) for one in trials)

    @property
    def exists(self) -> float:
        """Probability that any scale is stable with the target's probability."""
        offset = self._logs.max()
        bands = np.exp(self._logs - offset).sum()
        nothing = sum(np.exp(self._log_of_nothing(*one) - offset) for one in LAPSES)
        return float(np.isfinite(self._edges[0]).mean() * bands / (bands + nothing))

    @property
    def decades(self) -> Floats:
        """Sorted, equally probable widths of the band, given that it exists."""
        highest, lowest = self._edges
        there = np.isfinite(highest)
        return np.sort(highest[there] - lowest[there])

    @cached_property
    def _edges(self) -> tuple[Floats, Floats]:
        """Highest and lowest u with the target's probability, of each draw; NaN without one."""
        weights = np.exp(self._logs - self._logs.max())
        below = weights.ravel().cumsum()
        places = np.searchsorted(below, even_shares(DRAWS) * below[-1])
        lapse, a, b, c, d = np.unravel_index(places, weights.shape)
        failed, guess, _ = np.array(LAPSES)[lapse].T
        theta, phi = self._theta[a], self._phi[c]
        s, t = WIDTHS[b] / WIDTH_OF_SCALE, WIDTHS[d] / WIDTH_OF_SCALE
        with np.errstate(divide="ignore", invalid="ignore"):
            needed = (self._target - guess) / (1 - failed - guess)
            highest, lowest = theta - s * _logit(needed), phi + t * _logit(needed)
            for _ in range(ROOT_STEPS):
                highest = theta - s * _logit(needed / _sigmoid((highest - phi) / t))
                lowest = phi + t * _logit(needed / _sigmoid((theta - lowest) / s))
        there = np.isfinite(highest) & np.isfinite(lowest) & (highest > lowest)
        return np.where(there, highest, np.nan), np.where(there, lowest, np.nan)

    @cached_property
    def _logs(self) -> Floats:
        """Log weight of each curve up to a constant: (lapses, theta, its width, phi, its width)."""
        return np.stack([self._log_weight(*one) for one in LAPSES])

    def _log_of_nothing(self, failed: float, guess: float, weight: float) -> float:
        """The log weight of no band: any stable run is then stable by chance."""
        total = np.log(NOTHING_TRAINS * weight)
        for (_, stable), count in self._seen.items():
            total += count * np.log(max(guess if stable else 1 - guess, TINY))
        return float(total)

    def _log_weight(self, failed: float, guess: float, weight: float) -> Floats:
        total = self._prior + np.log(weight)
        scales = WIDTHS / WIDTH_OF_SCALE
        for (u, stable), count in self._seen.items():
            above = _sigmoid((self._theta[:, None] - u) / scales)
            below = _sigmoid((u - self._phi[:, None]) / scales)
            p = guess + (1 - failed - guess) * np.multiply.outer(above, below)
            total += count * np.log(np.maximum(p if stable else 1 - p, TINY))
        return np.asarray(total)


def _candidates(expected: Range) -> tuple[Floats, Floats]:
    us = np.arange(expected.lowest, expected.highest + STEP, STEP)
    outside = np.maximum(np.maximum(expected.low - us, us - expected.high), 0)
    prior = 10 ** (-DECAY * outside)
    return us, prior / prior.sum()


def _sigmoid(x: Floats) -> Floats:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _logit(p: Floats) -> Floats:
    return np.log(p) - np.log1p(-p)
