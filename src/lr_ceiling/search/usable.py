"""The highest usable learning rate: a curve of the score over u = log10 lr, from scored runs.

On the scale of a link (the logit of an accuracy, or the score itself in its own spread) a run that
trains at u ends with

    y = f(u) + noise,   f ~ constant + Gaussian process (Matern 5/2),   noise ~ Student's t,

so f is the score of a typical, median, seed. The noise's scale may grow towards the highest rate
with a score. Length, amplitude, noise and growth are averaged over a grid by their evidence. The t
is a mixture of Gaussians whose weights are found by variational Bayes, which makes a stray run
count little. What is asked of f is asked of equally probable draws of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaln, logit

from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import (
    EDGE_MASS,
    LAST,
    LAST_SHARE,
    LIKELY,
    NOTHING,
    QUANTILES,
    Estimate,
)
from lr_ceiling.search.posterior import Floats

Link = Literal["logit", "identity"]

# Between places where the curve is known, in decades; it is a line between them.
STEP = 0.05
# In decades; the knees that were seen are half a decade wide.
LENGTHS = (0.5, 1.0, 2.0)
# In decades: how far below the highest scored rate the curve still bends as much as there.
WARPS = (0.7, 2.0, 1000.0)
# In units of the link: the logit of an accuracy falls by 1 to 2 over the rates that train.
AMPLITUDES = (0.3, 1.0, 3.0)
NOISES = (0.05, 0.1, 0.2, 0.4, 0.8)
# Logarithm of how many times the noise grows over the last decade below the highest scored rate.
GROWTHS = (0.0, 1.4)
# The prior of the constant, about the median of the scores.
CONSTANT = 2.0
# Degrees of freedom of the noise.
FREEDOM = 4.0
ROUNDS = 8
RAW = 3000
DRAWS = 1000
TILT = 0.2
NOISE_PRIOR = (1., 1., 1., 1., 1.)
GROWTH_PRIOR = (1., 1.)
WARP_PRIOR = (1., 1., 1.)
# The best rate may lie so far below the lowest scored one, in decades.
REACH = 0.5
# With fewer scores nothing is said.
FEWEST = 5
# Accuracies are taken to be so much nearer to a half, so that 1 has a logit.
SHRUNK = 5e-4
# The spread of scores in their own units is made this one: that of an accuracy's logits.
SPREAD = 0.7
# An interval of so many decades is narrow enough.
SETTLED = 0.4
# Groups of draws with about the same usable rate, by which a run tells them apart.
BINS = 10
GOLDEN = (5**0.5 - 1) / 2


class Scored(NamedTuple):
    """A run that trained: its log10 learning rate, and the score at its end (higher is better)."""

    u: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Usable(Estimate):
    """The highest learning rate at which a typical seed loses at most `loss` of the best score.

    None where the runs don't bound it. `exists` is how probable it is that there is one among the
    rates that runs cover. `best_rate` is where the curve is highest, `best_score` what it reaches
    there.
    """

    exists: float
    loss: float
    best_rate: Estimate
    best_score: Estimate

    def settled(self, decades: float = SETTLED) -> bool:
        """Whether the interval is bounded and at most so wide."""
        low, high = self.ci95
        return low is not None and high is not None and np.log10(high / low) <= decades


class _Grid:
    """The hyperparameters, all combinations, with the prior of each."""

    def __init__(self) -> None:
        axes = np.meshgrid(
            np.arange(len(LENGTHS) * len(WARPS)), AMPLITUDES, NOISES, GROWTHS, indexing="ij"
        )
        length, amplitude, noise, growth = (axis.ravel() for axis in axes)
        self.length = length.astype(int)
        self.amplitude, self.noise, self.growth = amplitude, noise, growth
        self.log_prior: Floats = sum(
            np.log(np.array(w)[i])
            for w, i in (
                (NOISE_PRIOR, np.searchsorted(NOISES, self.noise)),
                (GROWTH_PRIOR, np.searchsorted(GROWTHS, self.growth)),
                (WARP_PRIOR, self.length // len(LENGTHS)),
            )
        )


GRID = _Grid()


class Response:
    """The posterior of the curve of scores between `low` and `high`, in log10.

    `link` is "logit" for scores in [0, 1], and "identity" for others. Equal runs, in any order,
    give equal draws. Raises ValueError for a score that is not finite, and under "logit" for one
    outside [0, 1].
    """

    def __init__(
        self, scored: Sequence[Scored], low: float, high: float, link: Link = "logit"
    ) -> None:
        self.scored = tuple(sorted(scored))
        self.low, self.high, self.link = low, high, link
        for one in self.scored:
            _check(one, low, high, link)
        self.lattice = low + STEP * np.arange(int(np.ceil((high - low) / STEP - 1e-9)) + 1)
        self._us = np.array([one.u for one in self.scored])
        scores = np.array([one.score for one in self.scored])
        self._top = round((max(one.u for one in self.scored) - low) / STEP) if scored else 0
        self._scale = _Scale(scores, link)
        self._y = self._scale.of(scores)

    @property
    def lowest(self) -> float:
        """The lowest log10 learning rate with a score."""
        return float(self._us[0])

    @cached_property
    def scores(self) -> Floats:
        """Equally probable curves, as scores on the lattice: (DRAWS, lattice)."""
        return self._scale.back(self._draws)

    @cached_property
    def weights(self) -> Floats:
        """Probability of each combination of hyperparameters."""
        log = self._fitted.log_evidence + GRID.log_prior
        weights = np.exp(log - log.max())
        return np.asarray(weights / weights.sum())

    def noise(self, us: Floats) -> Floats:
        """Variance of a run at each of `us` about the curve, on the link's scale."""
        scales = _noise_scale(us, self._us[-1]) ** 2
        return np.asarray(self.weights @ scales * FREEDOM / (FREEDOM - 2))

    def drawn(self, us: Floats) -> Floats:
        """The drawn curves at `us`, on the link's scale: (DRAWS, us)."""
        return self._draws @ self._interpolation(us).T

    @cached_property
    def _fitted(self) -> "_Fit":
        places, group = np.unique(self._us, return_inverse=True)
        at = self._interpolation(places)
        by_length = np.stack([at @ kernel @ at.T for kernel in _kernels(len(self.lattice), self._top)])
        cov = GRID.amplitude[:, None, None] ** 2 * by_length[GRID.length] + CONSTANT**2
        return _Fit(cov, self._y, group, _noise_scale(self._us, self._us[-1]))

    @cached_property
    def _draws(self) -> Floats:
        """By Matheron's rule: draws of the prior, moved by what the runs say."""
        fit = self._fitted
        at = self._interpolation(np.unique(self._us))
        below = self.weights.cumsum()
        places = np.searchsorted(below, (np.arange(RAW) + 0.5) / RAW * below[-1])
        generator = np.random.default_rng(0)
        constant = CONSTANT * generator.standard_normal((RAW, 1))
        stray = generator.standard_normal((RAW, len(at)))
        draws = np.empty((RAW, len(self.lattice)))
        for h in np.unique(places):
            mine = places == h
            length, amplitude = GRID.length[h], GRID.amplitude[h]
            prior = constant[mine] + amplitude * _prior_draws(len(self.lattice), self._top, int(length))[mine]
            missed = fit.mean[h] - prior @ at.T - stray[mine] * np.sqrt(fit.variance[h])
            kernel = _kernels(len(self.lattice), self._top)[length]
            towards = amplitude**2 * (at @ kernel) + CONSTANT**2
            draws[mine] = prior + missed @ fit.inverse[h] @ towards
        first = int(max(np.floor((self.lowest - REACH - self.low) / STEP), 0))
        part = draws[:, first : self._top + 1]
        excess = np.abs(np.diff(part)).sum(axis=1) - (2 * part.max(axis=1) - part[:, 0] - part[:, -1])
        w = np.exp(-(excess - excess.min()) / TILT)
        self.ess = w.sum() ** 2 / (w**2).sum()
        below = w.cumsum()
        chosen = np.searchsorted(below, (np.arange(DRAWS) + 0.5) / DRAWS * below[-1])
        return draws[chosen]

    def _interpolation(self, us: Floats) -> Floats:
        """What makes values at `us` of those on the lattice: (us, lattice)."""
        place = np.clip((us - self.low) / STEP, 0, len(self.lattice) - 1)
        left = np.minimum(place.astype(int), len(self.lattice) - 2)
        matrix = np.zeros((len(us), len(self.lattice)))
        rows = np.arange(len(us))
        matrix[rows, left] = 1 - (place - left)
        matrix[rows, left + 1] = place - left
        return matrix


class _Scale:
    """The link: from scores to where the noise is alike, and back."""

    def __init__(self, scores: Floats, link: Link) -> None:
        self._link = link
        self._unit = 1.0
        self._centre = 0.0
        if not len(scores):
            return
        if link == "identity":
            spread = float(np.std(scores))
            self._unit = max(spread, 1e-9 * float(np.abs(scores).max()), 1e-300) / SPREAD
        self._centre = float(np.median(self._linked(scores)))

    def of(self, scores: Floats) -> Floats:
        return self._linked(scores) - self._centre

    def back(self, y: Floats) -> Floats:
        y = y + self._centre
        if self._link == "identity":
            return np.asarray(y * self._unit)
        return np.asarray(expit(y) * (1 + 2 * SHRUNK) - SHRUNK)

    def _linked(self, scores: Floats) -> Floats:
        if self._link == "identity":
            return scores / self._unit
        return np.asarray(logit((scores + SHRUNK) / (1 + 2 * SHRUNK)))


class _Fit:
    """The runs under each combination of hyperparameters, by variational Bayes.

    A run's noise has the variance scale^2 / weight. Runs at one place are one observation: `mean`
    and `variance` (combinations, places); `inverse` is that of the covariance of these.
    """

    def __init__(
        self, covariance: Floats, y: Floats, group: npt.NDArray[np.intp], scale: Floats
    ) -> None:
        places = covariance.shape[1]
        member = np.equal.outer(group, np.arange(places)).astype(float)
        weight = np.ones_like(scale)
        for _ in range(ROUNDS):
            precision = weight / scale**2
            self.variance = 1 / (precision @ member)
            self.mean = (precision * y) @ member * self.variance
            total = covariance + self.variance[:, :, None] * np.eye(places)
            self.inverse = np.linalg.inv(total)
            pull = np.einsum("hij,hj->hi", self.inverse, self.mean)
            curve = self.mean - self.variance * pull
            unsure = self.variance - self.variance**2 * np.einsum("hii->hi", self.inverse)
            missed = (y - curve[:, group]) ** 2 + unsure[:, group]
            weight = (FREEDOM + 1) / (FREEDOM + missed / scale**2)
        # The bound: log t of the misses, less how far the curve's posterior is from its prior.
        gaussian = 0.5 * (np.log(precision / (2 * np.pi)) - precision * missed).sum(axis=1)
        within = 0.5 * (
            np.log(precision / (2 * np.pi)) - precision * (y - self.mean[:, group]) ** 2
        ).sum(axis=1) + 0.5 * np.log(2 * np.pi * self.variance).sum(axis=1)
        between = -0.5 * (
            np.linalg.slogdet(total)[1]
            + (self.mean * pull).sum(axis=1)
            + places * np.log(2 * np.pi)
        )
        distance = gaussian - (within + between)
        self.log_evidence = _log_t(missed / scale**2, scale).sum(axis=1) - distance


def _log_t(squared: Floats, scale: Floats) -> Floats:
    half = (FREEDOM + 1) / 2
    constant = gammaln(half) - gammaln(FREEDOM / 2) - 0.5 * np.log(FREEDOM * np.pi)
    return np.asarray(constant - np.log(scale) - half * np.log1p(squared / FREEDOM))


def _noise_scale(us: Floats, top: float) -> Floats:
    """Scale of the noise at each of `us`: (combinations, us)."""
    near = np.clip(us - top + 1, 0, 1)
    return np.asarray(GRID.noise[:, None] * np.exp(GRID.growth[:, None] * near))


@lru_cache(maxsize=8)
def _kernels(places: int, top: int) -> Floats:
    """Correlation of the curve between places of a lattice, for each warp and length."""
    u = STEP * (np.arange(places) - top)
    kernels = []
    for warp in WARPS:
        z = np.where(u < 0, warp * np.expm1(np.minimum(u, 0) / warp), u)
        apart = np.abs(np.subtract.outer(z, z))
        for length in LENGTHS:
            d = np.sqrt(5) * apart / length
            kernels.append((1 + d + d**2 / 3) * np.exp(-d))
    return np.stack(kernels)


@lru_cache(maxsize=64)
def _prior_draws(places: int, top: int, kernel: int) -> Floats:
    """Curves of the prior with an amplitude of 1: (DRAWS, places)."""
    normal = np.random.default_rng(1).standard_normal((RAW, places))
    root = np.linalg.cholesky(_kernels(places, top)[kernel] + 1e-7 * np.eye(places))
    return np.asarray(normal @ root.T)


def usable_us(response: Response, ceiling_us: Floats, loss: float) -> Floats:
    """Equally probable values of the highest usable log10 learning rate, in order.

    None where no run trained, or where there is no lr90.
    """
    return np.sort(_drawn(response, ceiling_us, loss)[0])


def usable_of(
    response: Response, ceiling_us: Floats, loss: float, ceiling_exists: float = 1.0
) -> Usable:
    """What the curve and lr90 say of the highest usable learning rate.

    `ceiling_us` are equally probable values of lr90 in log10, where there is one, which has the
    probability `ceiling_exists`; `loss` is in units of the score. Raises ValueError for a loss
    that is not above 0.
    """
    _check_loss(loss)
    us, best_us, best_scores = _drawn(response, ceiling_us, loss)
    if len(response.scored) < FEWEST or not len(us):
        return Usable(
            estimate=None, ci95=(None, None), exists=0.0, loss=loss, best_rate=NOTHING,
            best_score=NOTHING,
        )  # fmt: skip
    within = us >= response.lowest
    exists = ceiling_exists * float(within.mean())
    low, median, high = np.quantile(us, QUANTILES)
    last = min(LAST, LAST_SHARE * (response.high - response.low))
    below = bool(low >= response.lowest)
    above = float(np.mean(us > response.high - last)) < EDGE_MASS
    if exists < LIKELY:
        below = above = False
    return Usable(
        estimate=_rate(median) if below and above else None,
        ci95=(_rate(low) if below else None, _rate(high) if above else None),
        exists=round(exists, 4),
        loss=loss,
        best_rate=_estimate(10**best_us),
        best_score=_estimate(best_scores),
    )


def next_rate(
    response: Response, pending_us: Floats, ceiling_us: Floats, loss: float
) -> float:
    """The log10 learning rate at which a full run tells most about the highest usable one.

    `pending_us` are those of runs under way, whose scores are unknown. Information about the usable
    rate, in nats, times the probability that the run trains.
    """
    _check_loss(loss)
    us, _, _ = _drawn(response, ceiling_us, loss)
    order = np.argsort(us, kind="stable")
    bottom, top = response.lowest - REACH, np.quantile(ceiling_us, 0.9)
    lattice = response.lattice
    candidates = lattice[(lattice >= bottom) & (lattice <= top)][::2]
    curves = response.drawn(candidates)[order]
    pending = response.drawn(pending_us)[order]
    gain = _information(
        curves, pending, response.noise(candidates), response.noise(pending_us)
    )
    trains = np.mean(np.asarray(ceiling_us) >= candidates[:, None], axis=1)
    return float(candidates[np.argmax(gain * trains)])


def _information(curves: Floats, pending: Floats, noise: Floats, others: Floats) -> Floats:
    """Nats that a score at each candidate tells of the group of a draw, given those pending.

    Scores are taken to be Gaussian within a group and over all: (candidates,).
    """
    count = pending.shape[1]
    both = np.empty((curves.shape[1], len(curves), count + 1))
    both[:, :, :count] = pending
    both[:, :, count] = curves.T
    variance = np.zeros((curves.shape[1], count + 1, count + 1))
    index = np.arange(count)
    variance[:, index, index] = others
    variance[:, count, count] = noise
    within = both.reshape(len(both), BINS, -1, count + 1)
    total = _log_determinant(both, variance)
    grouped = _log_determinant(within, variance[:, None]).mean(axis=1)
    return np.asarray(total - grouped) / 2


def _log_determinant(values: Floats, variance: Floats) -> Floats:
    """Of the covariance of the last axis over the one before, with `variance` added: that of
    the last of the values given the others.
    """
    centred = values - values.mean(axis=-2, keepdims=True)
    covariance = centred.swapaxes(-1, -2) @ centred / values.shape[-2] + variance
    whole = np.linalg.slogdet(covariance)[1]
    if covariance.shape[-1] == 1:
        return np.asarray(whole)
    return np.asarray(whole - np.linalg.slogdet(covariance[..., :-1, :-1])[1])


def _drawn(
    response: Response, ceiling_us: Floats, loss: float
) -> tuple[Floats, Floats, Floats]:
    """The usable u, the best u and the best score of each draw of curve and lr90."""
    ceilings = np.asarray(ceiling_us, dtype=float)
    if not len(response.scored) or not len(ceilings):
        return np.array([]), np.array([]), np.array([])
    # The curve's draws are in no order of their own, and these values spread evenly over them.
    spread = np.arange(DRAWS) * GOLDEN % 1
    edge = np.sort(ceilings)[(spread * len(ceilings)).astype(int)]
    first = int(max(np.floor((response.lowest - REACH - response.low) / STEP), 0))
    lattice, scores = response.lattice[first:], response.scores[:, first:]
    edge = np.clip(edge, lattice[0], lattice[-1])
    rows = np.arange(DRAWS)
    left = np.minimum(((edge - lattice[0]) / STEP).astype(int), len(lattice) - 2)
    part = (edge - lattice[left]) / STEP
    at_edge = (1 - part) * scores[rows, left] + part * scores[rows, left + 1]
    within = np.where(lattice <= edge[:, None], scores, -np.inf)
    place = within.argmax(axis=1)
    best = np.maximum(within[rows, place], at_edge)
    best_us = np.where(at_edge >= best, edge, lattice[place])
    enough = within >= (best - loss)[:, None]
    last = np.minimum(len(lattice) - 1 - enough[:, ::-1].argmax(axis=1), len(lattice) - 2)
    here, there = scores[rows, last], scores[rows, last + 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = lattice[last] + STEP * (here - (best - loss)) / (here - there)
    us = np.where(at_edge >= best - loss, edge, np.minimum(crossing, edge))
    return us, best_us, best


def _estimate(values: Floats) -> Estimate:
    low, median, high = (significant(float(value)) for value in np.quantile(values, QUANTILES))
    return Estimate(estimate=median, ci95=(low, high))


def _rate(u: float) -> float:
    return significant(10 ** float(u))


def _check(one: Scored, low: float, high: float, link: Link) -> None:
    if not np.isfinite(one.score):
        raise ValueError(f"a score is {one.score}: leave out runs that did not train")
    if link == "logit" and not 0 <= one.score <= 1:
        raise ValueError(f"a score is {one.score}: the logit is for 0 to 1, use link='identity'")
    if not low <= one.u <= high:
        raise ValueError(f"a run is at {one.u}, outside {low} to {high}: widen the range")


def _check_loss(loss: float) -> None:
    if not 0 < loss < np.inf:
        raise ValueError(f"loss is {loss}: it must be above 0, in units of the score")
