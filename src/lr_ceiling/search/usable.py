"""The highest usable learning rate: a curve of the score over u = log10 lr, from scored runs.

On the scale of a link (the logit of an accuracy, or the score in units of its spread) a run that
trains at u ends with

    y = f(u) + noise,   f = constant + Gaussian process (Matern 5/2 in a warped u),

so f is the score of a typical (median) seed. The warp shortens distances far below the highest
scored rate, because curves bend near the edge and are flat far below it; one of the warps is the
identity. The noise is Student's t, and its scale may grow over the last decade. Lengths, warps,
amplitudes, noises and growths are averaged over a grid by their evidence. The t is a mixture of
Gaussians whose weights are found by variational Bayes, so an outlier counts little. Curves that
fall and rise again, more than the runs require, are less probable. Answers are computed from
equally probable draws of f.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any, Literal, NamedTuple

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
from lr_ceiling.search.posterior import Floats, Observation, Posterior, Range, even_shares
from lr_ceiling.search.threads import one_thread

Link = Literal["logit", "identity"]

# Distance between lattice points of the curve, in decades; the curve is linear between them.
STEP = 0.05
# The lattice starts this far below the lowest scored rate, in decades. Further below, the best
# score would come from the prior, not from the runs. If a curve falls gently from further below,
# its best score is cut off: FALLS detects that.
REACH = 0.5
# The warp's position is a multiple of this many lattice points, so that prior draws are reused.
SNAP = 5
# Length scales near the highest scored rate, in decades; observed knees are half a decade wide.
LENGTHS = (0.4, 0.9)
# Decades below that rate at which distances have shrunk by a factor e, and the prior weight; the
# last one means no warp. For curves with a knee, usable's interval was 0.60 decades wide without
# warps, and 0.25 with them (simulated, n = 60 and 40): without warps the best score might lie
# anywhere between and below the tried rates.
WARPS = ((0.5, 1.0), (1.5, 1.0), (1000.0, 1.0))
# Amplitudes, in units of the link: an accuracy's logit falls by 1 to 2 over the rates that train.
AMPLITUDES = (0.3, 1.0, 3.0)
# Noise scale one decade below the highest scored rate, and its prior weight. Noise of 0.2 points at
# .987 corresponds to 0.15; noise of 4 points at .95, for models as saved, to 0.8.
NOISES = ((0.05, 1.0), (0.1, 2.0), (0.2, 2.0), (0.4, 0.7), (0.8, 0.3))
# Logarithm of the growth of the noise up to the highest scored rate, and its prior weight.
GROWTHS = ((0.0, 0.6), (1.4, 0.4))
# Standard deviation of the constant's prior, around the median of the scores.
CONSTANT = 2.0
# Degrees of freedom of the noise.
FREEDOM = 6.0
ROUNDS = 8
# An additional rise and fall of this size, in units of the link, divides the probability by e.
# Without this penalty, a slow decline allows a second rise between any two runs: the interval was
# 3.0 decades wide and covered 100%, with the penalty 0.6 and 88% (simulated, n = 40).
WIGGLE = 0.2
# The effective number of curves must be at least this. The penalty is divided by SOFTER until it
# is.
EFFECTIVE, SOFTER = 60, 1.5
# Number of raw draws, and of the curves that are resampled from them.
RAW, DRAWS = 2000, 1000
# If the curve loses this share of the loss over the lowest decade with scores, the best score may
# lie below it, and the next run goes LOWER decades lower.
FALLS, FALLS_OVER, LOWER = 0.3, 1.0, 0.5
# With fewer scores there is no estimate.
FEWEST = 5
# Accuracies are shrunk this much towards a half, so that 1 has a finite logit.
SHRUNK = 5e-4
# Other scores are scaled to this spread, which is typical of an accuracy's logits.
SPREAD = 0.7
# An interval of at most this many decades is narrow enough.
SETTLED = 0.4
# Before any score is known, runs start this many decades below lr90 and go down in such steps.
START = 0.5
# Distance between candidates, in lattice points.
STRIDE = 2
# The usable rate is at most the edge for this probability, given by this many values.
CEILING, CEILINGS = 0.9, 400
# Number of groups of draws with similar usable rates, for the mutual information.
BINS = 10
ROUNDING = 1e-9
# The fractional parts of its multiples spread evenly over 0 to 1.
GOLDEN = (5**0.5 - 1) / 2


class Scored(NamedTuple):
    """A run that trained: its log10 learning rate, and its final score (higher is better)."""

    u: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Usable(Estimate):
    """The highest learning rate at which a typical seed loses at most `loss` of the best score.

    It is None if the runs don't bound it, and `reason` says why. `exists` is the probability that
    such a rate exists within the range of the runs. `best_rate` is the rate with the best score of
    the curve, `best_score` that score.
    """

    exists: float
    loss: float | None
    best_rate: Estimate
    best_score: Estimate
    reason: str | None = None

    def settled(self, decades: float = SETTLED) -> bool:
        """Whether the interval is bounded and at most `decades` wide."""
        low, high = self.ci95
        return low is not None and high is not None and np.log10(high / low) <= decades

    def negated(self) -> "Usable":
        """The same for a mode of "min", in which runs are scored by the negative score."""
        (low, high), middle = self.best_score.ci95, self.best_score.estimate
        if middle is None or low is None or high is None:
            return self
        return replace(self, best_score=Estimate(estimate=-middle, ci95=(-high, -low)))

    def content(self) -> dict[str, Any]:
        """The content for reports."""
        return {
            "estimate": self.estimate,
            "ci95": self.ci95,
            "exists": self.exists,
            "loss": self.loss,
            "best": {"learning_rate": self.best_rate.estimate, "score": self.best_score.estimate},
            "reason": self.reason,
        }


def nothing_usable(loss: float | None, reason: str) -> Usable:
    """A Usable without a number, with the reason."""
    return Usable(
        estimate=None,
        ci95=(None, None),
        exists=0.0,
        loss=loss,
        best_rate=NOTHING,
        best_score=NOTHING,
        reason=reason,
    )


class Hyperparameters:
    """All combinations of the hyperparameters of curve and noise: (combinations,) each.

    `kernel` is the index into `_kernels`.
    """

    def __init__(self) -> None:
        kernels = [(k, weight) for k, ((_, weight), _) in enumerate(product(WARPS, LENGTHS))]
        columns = [
            (kernel, amplitude, noise, growth, w0 * w1 * w2)
            for (kernel, w0), amplitude, (noise, w1), (growth, w2) in product(
                kernels, AMPLITUDES, NOISES, GROWTHS
            )
        ]
        kernel, amplitude, noise, growth, weight = np.array(columns).T
        self.kernel = kernel.astype(int)
        self.amplitude, self.noise, self.growth = amplitude, noise, growth
        self.log_prior: Floats = np.log(weight / weight.sum())

    def noise_scale(self, us: Floats, top: float) -> Floats:
        """Scale of the noise at each of `us`, with `top` the highest scored rate: (..., us)."""
        near = np.clip(us - top + 1, 0, 1)
        return np.asarray(self.noise[:, None] * np.exp(self.growth[:, None] * near))


GRID = Hyperparameters()


class Response:
    """The posterior of the curve of scores, for log10 learning rates from `low` to `high`.

    `link` is "logit" for scores in [0, 1], and "identity" for others; a higher score is better. The
    same runs, in any order, give the same draws. Raises ValueError for a score that is not finite
    or, under "logit", outside [0, 1], and for a run outside `low` to `high`.
    """

    def __init__(
        self, scored: Sequence[Scored], low: float, high: float, link: Link = "logit"
    ) -> None:
        for one in scored:
            _check(one, low, high, link)
        self.scored = tuple(sorted(scored))
        self.low, self.high = low, high
        self._us = np.array([one.u for one in self.scored])
        scores = np.array([one.score for one in self.scored])
        self._scale = _Scale(scores, link)
        self._y = self._scale.of(scores)

    @property
    def lowest(self) -> float:
        """The lowest log10 learning rate with a score."""
        return self.scored[0].u

    @property
    def highest(self) -> float:
        """The highest log10 learning rate with a score."""
        return self.scored[-1].u

    @cached_property
    def lattice(self) -> Floats:
        """The log10 learning rates at which the curve is computed: (places,)."""
        start = max(self.low, self.lowest - REACH)
        return np.asarray(start + STEP * np.arange(max(_steps(self.high - start), 1) + 1))

    @cached_property
    def scores(self) -> Floats:
        """Equally probable curves, as scores on the lattice: (DRAWS, places)."""
        return self._scale.back(self._draws)

    @cached_property
    def weights(self) -> Floats:
        """Probability of each combination of hyperparameters."""
        log = self._fit.log_evidence + GRID.log_prior
        weights = np.exp(log - log.max())
        return np.asarray(weights / weights.sum())

    def noise(self, us: Floats) -> Floats:
        """Variance of a run around the curve at each of `us`, on the link's scale."""
        scales = GRID.noise_scale(us, self.highest) ** 2
        return np.asarray(self.weights @ scales * FREEDOM / (FREEDOM - 2))

    def drawn(self, us: Floats) -> Floats:
        """The drawn curves at `us`, on the link's scale: (DRAWS, us)."""
        return self._draws @ self._interpolation(us).T

    @property
    def _size(self) -> tuple[int, int]:
        """Size of the lattice, and the warp's start: at or just above the highest scored rate."""
        top = _steps(self.highest - self.lattice[0])
        return len(self.lattice), -(-top // SNAP) * SNAP

    @cached_property
    def _fit(self) -> "_Fit":
        places, group = np.unique(self._us, return_inverse=True)
        at = self._interpolation(places)
        kernels = at @ _kernels(*self._size) @ at.T
        prior = GRID.amplitude[:, None, None] ** 2 * kernels[GRID.kernel] + CONSTANT**2
        return _Fit(prior, self._y, group, GRID.noise_scale(self._us, self.highest))

    @cached_property
    def _draws(self) -> Floats:
        """Curves on the link's scale: (DRAWS, places)."""
        curves = self._raw_draws()
        known = curves[:, : self._size[1] + 1]
        # Variation of each curve in excess of one rise to its best score and one fall from it.
        beyond = np.abs(np.diff(known)).sum(axis=1) - (
            2 * known.max(axis=1) - known[:, 0] - known[:, -1]
        )
        # Compared among curves of one kernel, since short lengths wiggle whatever the runs show.
        kernel = GRID.kernel[self._chosen]
        weights = np.empty(RAW)
        for one in np.unique(kernel):
            mine = kernel == one
            weights[mine] = _calm(beyond[mine]) * mine.sum()
        return curves[_systematic(weights, DRAWS)]

    @cached_property
    def _chosen(self) -> npt.NDArray[np.intp]:
        """The combination of hyperparameters of each raw draw."""
        return _systematic(self.weights, RAW)

    def _raw_draws(self) -> Floats:
        """Draws by Matheron's rule: draws of the prior, updated by the runs: (RAW, places)."""
        fit = self._fit
        at = self._interpolation(np.unique(self._us))
        generator = np.random.default_rng(0)
        constant = CONSTANT * generator.standard_normal((RAW, 1))
        stray = generator.standard_normal((RAW, len(at)))
        curves = np.empty((RAW, len(self.lattice)))
        for h in np.unique(self._chosen):
            mine = self._chosen == h
            kernel, amplitude = int(GRID.kernel[h]), GRID.amplitude[h]
            prior = constant[mine] + amplitude * _prior_draws(*self._size, kernel)[mine]
            missed = fit.mean[h] - prior @ at.T - stray[mine] * np.sqrt(fit.variance[h])
            towards = amplitude**2 * (at @ _kernels(*self._size)[kernel]) + CONSTANT**2
            curves[mine] = prior + missed @ fit.inverse[h] @ towards
        return curves

    def _interpolation(self, us: Floats) -> Floats:
        """The matrix that interpolates from the lattice to `us`: (us, places)."""
        last = len(self.lattice) - 1
        place = np.clip((us - self.lattice[0]) / STEP, 0, last)
        left = np.minimum(place.astype(int), last - 1)
        matrix, rows = np.zeros((len(us), last + 1)), np.arange(len(us))
        matrix[rows, left], matrix[rows, left + 1] = 1 - (place - left), place - left
        return matrix


class _Scale:
    """The link: from scores to a scale with constant noise, and back."""

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

    A run's noise has the variance scale^2 / weight. Runs at one rate form one observation: `mean`
    and `variance` (combinations, places). `inverse` is the inverse of the observations' covariance.
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
        # The evidence bound: log t of the residuals, minus the divergence of posterior and prior.
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


def _calm(beyond: Floats) -> Floats:
    """Weights of curves with these additional variations; they sum to 1.

    If hardly any curve is calm, the penalty is reduced until the effective number of curves is a
    quarter of them, or EFFECTIVE.
    """
    scale, least = WIGGLE, min(EFFECTIVE, len(beyond) / 4)
    while True:
        weights = np.exp((beyond.min() - beyond) / scale)
        weights /= weights.sum()
        if 1 / np.sum(weights**2) >= least:
            return np.asarray(weights)
        scale *= SOFTER


def _log_t(squared: Floats, scale: Floats) -> Floats:
    half = (FREEDOM + 1) / 2
    constant = gammaln(half) - gammaln(FREEDOM / 2) - 0.5 * np.log(FREEDOM * np.pi)
    return np.asarray(constant - np.log(scale) - half * np.log1p(squared / FREEDOM))


def _systematic(weights: Floats, count: int) -> npt.NDArray[np.intp]:
    """`count` indices, each in proportion to its weight; equal weights give equal indices."""
    below = weights.cumsum()
    places = np.searchsorted(below, even_shares(count) * below[-1])
    return np.asarray(np.minimum(places, len(weights) - 1))


def _steps(decades: float) -> int:
    # Decades are differences of floats, so rounding errors must not add a step.
    return int(np.ceil(decades / STEP - 1e-6))


@lru_cache(maxsize=8)
def _kernels(places: int, top: int) -> Floats:
    """Correlations on a lattice, for each warp and length: (kernels, places, places).

    Below the index `top` distances are warped.
    """
    u = STEP * (np.arange(places) - top)
    kernels = []
    for (warp, _), length in product(WARPS, LENGTHS):
        warped = np.where(u < 0, warp * np.expm1(np.minimum(u, 0) / warp), u)
        d = np.sqrt(5) * np.abs(np.subtract.outer(warped, warped)) / length
        kernels.append((1 + d + d**2 / 3) * np.exp(-d))
    return np.stack(kernels)


# 3 MB each.
@lru_cache(maxsize=12)
def _prior_draws(places: int, top: int, kernel: int) -> Floats:
    """Curves of the prior with an amplitude of 1: (RAW, places)."""
    normal = np.random.default_rng(1).standard_normal((RAW, places))
    root = np.linalg.cholesky(_kernels(places, top)[kernel] + 1e-7 * np.eye(places))
    return np.asarray(normal @ root.T)


@one_thread
def usable_us(response: Response, ceiling_us: Floats, loss: float) -> Floats:
    """Sorted, equally probable values of the highest usable log10 learning rate.

    Empty if no run trained, or if there is no lr90.
    """
    return np.sort(_drawn(response, ceiling_us, loss).usable)


def scored_of(observations: Iterable[Observation]) -> tuple[Scored, ...]:
    """The runs with an unbiased final score, in order.

    These are stable runs whose full length does not depend on their progress. If success may be
    called early, only runs that no call may end qualify.
    """
    return tuple(sorted(Scored(one.u, one.score) for one in observations if one.score is not None))


def response_of(scored: Sequence[Scored], bounds: Range) -> Response:
    """The curve of these scores, on the logit scale if all lie in [0, 1] as accuracies do."""
    link: Link = "logit" if all(0 <= one.score <= 1 for one in scored) else "identity"
    return Response(scored, bounds.lowest, bounds.highest, link)


def usable_values(
    posterior: Posterior, scored: Sequence[Scored], loss: float, count: int
) -> Floats:
    """`count` sorted, equally probable values of the usable rate in log10."""
    ceilings = posterior.quantiles(CEILING, CEILINGS)
    us = usable_us(response_of(scored, posterior.curves.bounds), ceilings, loss)
    return np.asarray(np.quantile(us, even_shares(count)))


def usable_below(posterior: Posterior, scored: Sequence[Scored], loss: float) -> Usable:
    """The highest usable learning rate, by these scores and the posterior of lr90."""
    ceilings = posterior.quantiles(CEILING, CEILINGS)
    response = response_of(scored, posterior.curves.bounds)
    return usable_of(response, ceilings, loss, posterior.edge(CEILING).exists)


@one_thread
def usable_of(
    response: Response, ceiling_us: Floats, loss: float, ceiling_exists: float = 1.0
) -> Usable:
    """The highest usable learning rate, from the curve and from lr90.

    `ceiling_us` are equally probable values of lr90 in log10, given that it exists, and
    `ceiling_exists` is the probability of this; `loss` is in units of the score. Raises ValueError
    for a loss that is not above 0.
    """
    if not 0 < loss < np.inf:
        raise ValueError(f"loss is {loss}: it must be above 0, in units of the score")
    count = len(response.scored)
    if count < FEWEST:
        told = f"{count} tell" if count > 1 else "one tells" if count else "none tells"
        return nothing_usable(loss, f"of the runs that trained {told} a score: {FEWEST} are needed")
    if not len(ceiling_us):
        return nothing_usable(loss, "no learning rate is stable nine times in ten")
    drawn = _drawn(response, ceiling_us, loss)
    exists = ceiling_exists * float(np.mean(drawn.usable >= response.lowest))
    low, median, high = np.quantile(drawn.usable, QUANTILES)
    below, above = low >= response.lowest, _is_bounded_above(response, drawn.usable)
    falls = falls_from_the_start(response, loss)
    below = below and not falls
    reason = None
    if exists < LIKELY:
        below = above = False
        reason = (
            f"there is probably none among the rates that were tried (probability {1 - exists:.2f})"
        )
    elif not below or not above:
        side = "from below" if above else "from above" if below else "from either side"
        reason = f"the runs don't bound it {side}"
        if falls:
            reason += ": the score still falls at the lowest rate tried"
    return Usable(
        estimate=_rate(median) if below and above else None,
        ci95=(_rate(low) if below else None, _rate(high) if above else None),
        exists=round(exists, 4),
        loss=loss,
        best_rate=_estimate(10**drawn.best_us),
        best_score=_estimate(drawn.best),
        reason=reason,
    )


@one_thread
def next_rate(response: Response, pending_us: Floats, ceiling_us: Floats, loss: float) -> float:
    """The log10 learning rate at which a full run is most informative about the usable rate.

    `pending_us` are the rates of runs in progress, whose scores are unknown. The criterion is the
    information, in nats, times the probability that the run trains. Raises ValueError if there is
    no lr90.
    """
    if not len(ceiling_us):
        raise ValueError("there is no value of lr90: nothing is usable where nothing trains")
    if not response.scored:
        start = np.median(ceiling_us) - START * (1 + len(pending_us))
        return float(np.clip(start, response.low, response.high))
    looked_below = len(pending_us) > 0 and pending_us.min() < response.lowest
    if falls_from_the_start(response, loss) and not looked_below:
        # The loss is unknown as long as the best score is unknown.
        return float(max(response.lowest - LOWER, response.low))
    order = np.argsort(_drawn(response, ceiling_us, loss).usable, kind="stable")
    candidates = response.lattice[::STRIDE]
    gain = _information(
        response.drawn(candidates)[order],
        response.drawn(pending_us)[order],
        response.noise(candidates),
        response.noise(pending_us),
    )
    trains = np.mean(np.asarray(ceiling_us) >= candidates[:, None], axis=1)
    return float(candidates[np.argmax(gain * trains)])


def falls_from_the_start(response: Response, loss: float) -> bool:
    """Whether the lowest scored rate has the best score, and scores fall from there on."""
    start = _steps(response.lowest - response.lattice[0])
    end = min(start + _steps(FALLS_OVER), _steps(response.highest - response.lattice[0]))
    known = response.scores[:, start : end + 1]
    begins_best = np.median(known.argmax(axis=1)) == 0
    return bool(begins_best and np.median(known[:, 0] - known[:, -1]) > FALLS * loss)


def _information(curves: Floats, pending: Floats, noise: Floats, others: Floats) -> Floats:
    """Information, in nats, of a score at each candidate about a draw's group: (candidates,).

    It is conditional on the pending scores. Scores are treated as Gaussian within each group and
    over all groups.
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
    """Logarithm of the variance of the last of `values` (..., draws, values), given the others.

    `variance` (..., values, values) is added to their covariance.
    """
    centred = values - values.mean(axis=-2, keepdims=True)
    covariance = centred.swapaxes(-1, -2) @ centred / values.shape[-2] + variance
    whole = np.linalg.slogdet(covariance)[1]
    if covariance.shape[-1] == 1:
        return np.asarray(whole)
    return np.asarray(whole - np.linalg.slogdet(covariance[..., :-1, :-1])[1])


class _Drawn(NamedTuple):
    """The usable u, the best u and the best score of each draw of the curve and of lr90."""

    usable: Floats
    best_us: Floats
    best: Floats


def _drawn(response: Response, ceiling_us: Floats, loss: float) -> _Drawn:
    if not 0 < loss < np.inf:
        raise ValueError(f"loss is {loss}: it must be above 0, in units of the score")
    if not response.scored or not len(ceiling_us):
        return _Drawn(np.array([]), np.array([]), np.array([]))
    lattice, scores, rows = response.lattice, response.scores, np.arange(DRAWS)
    # lr90 and the curve are independent, so lr90's values are spread evenly over the draws.
    ceilings = np.sort(ceiling_us)[(rows * GOLDEN % 1 * len(ceiling_us)).astype(int)]
    edge = np.clip(ceilings, lattice[0], lattice[-1])
    left = np.minimum(((edge - lattice[0]) / STEP).astype(int), len(lattice) - 2)
    part = (edge - lattice[left]) / STEP
    at_edge = (1 - part) * scores[rows, left] + part * scores[rows, left + 1]
    within = np.where(lattice <= edge[:, None], scores, -np.inf)
    place = within.argmax(axis=1)
    best = np.maximum(within[rows, place], at_edge)
    enough = within >= (best - loss)[:, None]
    last = np.minimum(len(lattice) - 1 - enough[:, ::-1].argmax(axis=1), len(lattice) - 2)
    # If the score at the edge is too low, interpolate from the last point with a sufficient one.
    fall = np.maximum(scores[rows, last] - scores[rows, last + 1], 1e-300)
    crossing = lattice[last] + STEP * (scores[rows, last] - (best - loss)) / fall
    usable = np.where(at_edge >= best - loss, edge, np.minimum(crossing, edge))
    return _Drawn(
        np.minimum(usable, ceilings), np.where(at_edge >= best, edge, lattice[place]), best
    )


def _is_bounded_above(response: Response, us: Floats) -> bool:
    """Whether only few values of the usable rate lie at the upper end of the range."""
    last = min(LAST, LAST_SHARE * (response.high - response.low))
    return float(np.mean(us > response.high - last)) < EDGE_MASS


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
    # The logarithm of a rate at the limit may exceed the limit by a rounding error.
    if not low - ROUNDING <= one.u <= high + ROUNDING:
        raise ValueError(f"a run is at {one.u}, outside {low} to {high}: widen the range")
