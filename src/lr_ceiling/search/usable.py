"""The highest usable learning rate: a curve of the score over u = log10 lr, from scored runs.

On the scale of a link (the logit of an accuracy, or the score itself in units of its spread) a run
that trains at u ends with

    y = f(u) + noise,   f = constant + Gaussian process (Matern 5/2 in a warped u),

so f is the score of a typical, median, seed. The warp shortens distances the further u lies below
the highest scored rate: curves bend near the edge and are flat far below it, and one of the warps
is none. The noise is Student's t, and its scale may grow over the last decade. Lengths, warps,
amplitudes, noises and growths are averaged over a grid by their evidence. The t is a mixture of
Gaussians whose weights are found by variational Bayes, so a stray run counts little. A curve that
falls and rises again, beyond what the runs ask for, is less probable than one that doesn't. What
is asked of f is asked of equally probable draws of it.
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
from lr_ceiling.search.posterior import Floats, Observation, Posterior, Range
from lr_ceiling.search.threads import one_thread

Link = Literal["logit", "identity"]

# Between places where the curve is known, in decades; it is a line between them.
STEP = 0.05
# The curve is looked at from so far below the lowest scored rate on, in decades. Further below, the
# best that it may reach there would be the prior's, not the runs'. A curve that falls gently from
# further below on would have its best cut off: FALLS tells of that.
REACH = 0.5
# The warp's place moves by so many places at a time: then curves of the prior serve again.
SNAP = 5
# How far apart, in decades, scores are alike near the highest scored rate; the knees that were seen
# are half a decade wide.
LENGTHS = (0.4, 0.9)
# How many decades below that rate distances have shrunk by e, and the prior weight; the last is no
# warp. Without warps, and looked at from half a decade below, usable's interval was 0.60 decades
# wide where there is a knee, with them 0.25 (simulated, n = 60 and 40): the best might lie anywhere
# between and below the rates that were tried.
WARPS = ((0.5, 1.0), (1.5, 1.0), (1000.0, 1.0))
# In units of the link: the logit of an accuracy falls by 1 to 2 over the rates that train.
AMPLITUDES = (0.3, 1.0, 3.0)
# Scale of the noise a decade below the highest scored rate, and the prior weight. Two tenths of a
# point at .987 are 0.15; four points at .95, as saved, are 0.8.
NOISES = ((0.05, 1.0), (0.1, 2.0), (0.2, 2.0), (0.4, 0.7), (0.8, 0.3))
# Logarithm of how many times it is that at the highest scored rate, and the prior weight.
GROWTHS = ((0.0, 0.6), (1.4, 0.4))
# The prior of the constant, about the median of the scores.
CONSTANT = 2.0
# Degrees of freedom of the noise.
FREEDOM = 6.0
ROUNDS = 8
# A curve that goes so far up and down again, in units of the link, is less probable by e. Without
# this a slow decline leaves room for a second rise between any two runs: the interval was 3.0
# decades wide and covered 100%, with it 0.6 and 88% (simulated, n = 40).
WIGGLE = 0.2
# So many equally weighted curves at least stand for a posterior; that penalty is divided by SOFTER
# until they do.
EFFECTIVE, SOFTER = 60, 1.5
# Curves that are drawn, and those that stand for them after that.
RAW, DRAWS = 2000, 1000
# Where so large a part of the loss is lost over the lowest decade with scores, the best may lie
# below it, and the next run goes so many decades lower.
FALLS, FALLS_OVER, LOWER = 0.3, 1.0, 0.5
# With fewer scores nothing is said.
FEWEST = 5
# Accuracies are taken to be so much nearer to a half, so that 1 has a logit.
SHRUNK = 5e-4
# The spread of scores in their own units is made this one: that of an accuracy's logits.
SPREAD = 0.7
# An interval of so many decades is narrow enough.
SETTLED = 0.4
# Before any score is known, runs go so far below lr90, each lower than the one before.
START = 0.5
# Between candidates, in places.
STRIDE = 2
# The ceiling that no usable rate is above, and by how many values it is known.
CEILING, CEILINGS = 0.9, 400
# Groups of draws with about the same usable rate, by which a run tells them apart.
BINS = 10
ROUNDING = 1e-9
# Its multiples, less their whole parts, spread evenly over 0 to 1.
GOLDEN = (5**0.5 - 1) / 2


class Scored(NamedTuple):
    """A run that trained: its log10 learning rate, and the score at its end (higher is better)."""

    u: float
    score: float


@dataclass(frozen=True, kw_only=True)
class Usable(Estimate):
    """The highest learning rate at which a typical seed loses at most `loss` of the best score.

    None where the runs don't bound it: `reason` says why. `exists` is how probable it is that there
    is one among the rates that runs cover. `best_rate` is where the curve is highest, `best_score`
    what it reaches there.
    """

    exists: float
    loss: float | None
    best_rate: Estimate
    best_score: Estimate
    reason: str | None = None

    def settled(self, decades: float = SETTLED) -> bool:
        """Whether the interval is bounded and at most so wide."""
        low, high = self.ci95
        return low is not None and high is not None and np.log10(high / low) <= decades

    def negated(self) -> "Usable":
        """The same where lower scores are better: runs were scored by their negatives."""
        (low, high), middle = self.best_score.ci95, self.best_score.estimate
        if middle is None or low is None or high is None:
            return self
        return replace(self, best_score=Estimate(estimate=-middle, ci95=(-high, -low)))

    def content(self) -> dict[str, Any]:
        """What reports hold of it."""
        return {
            "estimate": self.estimate,
            "ci95": self.ci95,
            "exists": self.exists,
            "loss": self.loss,
            "best": {"learning_rate": self.best_rate.estimate, "score": self.best_score.estimate},
            "reason": self.reason,
        }


def nothing_usable(loss: float | None, reason: str) -> Usable:
    """That there is no number, and why."""
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
    """All combinations of what the curve's prior and the noise depend on: (combinations,) each.

    `kernel` is the index among `_kernels`.
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
        """Scale of the noise at each of `us`, when `top` is the highest scored: (..., us)."""
        near = np.clip(us - top + 1, 0, 1)
        return np.asarray(self.noise[:, None] * np.exp(self.growth[:, None] * near))


GRID = Hyperparameters()


class Response:
    """The posterior of the curve of scores, for log10 learning rates from `low` to `high`.

    `link` is "logit" for scores in [0, 1], and "identity" for others; a higher score is better.
    Equal runs, in any order, give equal draws. Raises ValueError for a score that is not finite,
    under "logit" for one outside [0, 1], and for a run outside `low` to `high`.
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
        """The highest one."""
        return self.scored[-1].u

    @cached_property
    def lattice(self) -> Floats:
        """Where the curve is looked at, in log10: (places,)."""
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
        """Variance of a run at each of `us` about the curve, on the link's scale."""
        scales = GRID.noise_scale(us, self.highest) ** 2
        return np.asarray(self.weights @ scales * FREEDOM / (FREEDOM - 2))

    def drawn(self, us: Floats) -> Floats:
        """The drawn curves at `us`, on the link's scale: (DRAWS, us)."""
        return self._draws @ self._interpolation(us).T

    @property
    def _size(self) -> tuple[int, int]:
        """Places of the lattice, and where the warp begins: at or just above the highest score."""
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
        # How far each goes up and down beyond one rise to its best and one fall from there.
        beyond = np.abs(np.diff(known)).sum(axis=1) - (
            2 * known.max(axis=1) - known[:, 0] - known[:, -1]
        )
        # Among curves of the same kernel: short lengths wiggle, whatever the runs say.
        kernel = GRID.kernel[self._chosen]
        weights = np.empty(RAW)
        for one in np.unique(kernel):
            mine = kernel == one
            weights[mine] = _calm(beyond[mine]) * mine.sum()
        return curves[_systematic(weights, DRAWS)]

    @cached_property
    def _chosen(self) -> npt.NDArray[np.intp]:
        """The combination of hyperparameters that each raw draw is of."""
        return _systematic(self.weights, RAW)

    def _raw_draws(self) -> Floats:
        """By Matheron's rule: draws of the prior, moved by what the runs say: (RAW, places)."""
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
        """What makes values at `us` of those on the lattice: (us, places)."""
        last = len(self.lattice) - 1
        place = np.clip((us - self.lattice[0]) / STEP, 0, last)
        left = np.minimum(place.astype(int), last - 1)
        matrix, rows = np.zeros((len(us), last + 1)), np.arange(len(us))
        matrix[rows, left], matrix[rows, left + 1] = 1 - (place - left), place - left
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


def _calm(beyond: Floats) -> Floats:
    """Weights of curves that go so far up and down again; they sum to 1.

    Where hardly one curve is calm, wiggles weigh less, until a quarter of the curves, or EFFECTIVE
    of them, stand for the others.
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
    """`count` indices, as often as their weights say; equal weights give equal indices."""
    below = weights.cumsum()
    places = np.searchsorted(below, (np.arange(count) + 0.5) / count * below[-1])
    return np.asarray(np.minimum(places, len(weights) - 1))


def _steps(decades: float) -> int:
    # Decades are differences of floats: a whole number of steps must not become one more.
    return int(np.ceil(decades / STEP - 1e-6))


@lru_cache(maxsize=8)
def _kernels(places: int, top: int) -> Floats:
    """Correlations on a lattice, for each warp and length: (kernels, places, places).

    Below the place `top` they are warped.
    """
    u = STEP * (np.arange(places) - top)
    kernels = []
    for (warp, _), length in product(WARPS, LENGTHS):
        warped = np.where(u < 0, warp * np.expm1(np.minimum(u, 0) / warp), u)
        d = np.sqrt(5) * np.abs(np.subtract.outer(warped, warped)) / length
        kernels.append((1 + d + d**2 / 3) * np.exp(-d))
    return np.stack(kernels)


# Of 3 MB each.
@lru_cache(maxsize=12)
def _prior_draws(places: int, top: int, kernel: int) -> Floats:
    """Curves of the prior with an amplitude of 1: (RAW, places)."""
    normal = np.random.default_rng(1).standard_normal((RAW, places))
    root = np.linalg.cholesky(_kernels(places, top)[kernel] + 1e-7 * np.eye(places))
    return np.asarray(normal @ root.T)


@one_thread
def usable_us(response: Response, ceiling_us: Floats, loss: float) -> Floats:
    """Equally probable values of the highest usable log10 learning rate, in order.

    Empty where no run trained, and where there is no lr90.
    """
    return np.sort(_drawn(response, ceiling_us, loss).usable)


def scored_of(observations: Iterable[Observation]) -> tuple[Scored, ...]:
    """The runs among these that say what a seed that trains reaches, in order.

    Their full length was no consequence of how they went: where success may be called early, that
    is so for none but those that no call may end.
    """
    return tuple(sorted(Scored(one.u, one.score) for one in observations if one.score is not None))


def response_of(scored: Sequence[Scored], bounds: Range) -> Response:
    """The curve of these scores: by their logits if all are in [0, 1], as accuracies are."""
    link: Link = "logit" if all(0 <= one.score <= 1 for one in scored) else "identity"
    return Response(scored, bounds.lowest, bounds.highest, link)


def usable_values(
    posterior: Posterior, scored: Sequence[Scored], loss: float, count: int
) -> Floats:
    """`count` equally probable values of the usable rate in log10, in order."""
    ceilings = posterior.quantiles(CEILING, CEILINGS)
    us = usable_us(response_of(scored, posterior.curves.bounds), ceilings, loss)
    return np.asarray(np.quantile(us, (np.arange(count) + 0.5) / count))


def usable_below(posterior: Posterior, scored: Sequence[Scored], loss: float) -> Usable:
    """The highest usable learning rate, by these scores and what is known of lr90."""
    ceilings = posterior.quantiles(CEILING, CEILINGS)
    response = response_of(scored, posterior.curves.bounds)
    return usable_of(response, ceilings, loss, posterior.edge(CEILING).exists)


@one_thread
def usable_of(
    response: Response, ceiling_us: Floats, loss: float, ceiling_exists: float = 1.0
) -> Usable:
    """What the curve and lr90 say of the highest usable learning rate.

    `ceiling_us` are equally probable values of lr90 in log10, where there is one, which has the
    probability `ceiling_exists`; `loss` is in units of the score. Raises ValueError for a loss
    that is not above 0.
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
    """The log10 learning rate at which a full run tells most about the highest usable one.

    `pending_us` are those of runs under way, whose scores are unknown. What counts is the
    information, in nats, times the probability that the run trains. Raises ValueError where there
    is no lr90.
    """
    if not len(ceiling_us):
        raise ValueError("there is no value of lr90: nothing is usable where nothing trains")
    if not response.scored:
        start = np.median(ceiling_us) - START * (1 + len(pending_us))
        return float(np.clip(start, response.low, response.high))
    looked_below = len(pending_us) > 0 and pending_us.min() < response.lowest
    if falls_from_the_start(response, loss) and not looked_below:
        # What is lost is not known before the best is.
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
    """Whether the best of the rates with a score is the lowest, and the score falls from there."""
    start = _steps(response.lowest - response.lattice[0])
    end = min(start + _steps(FALLS_OVER), _steps(response.highest - response.lattice[0]))
    known = response.scores[:, start : end + 1]
    begins_best = np.median(known.argmax(axis=1)) == 0
    return bool(begins_best and np.median(known[:, 0] - known[:, -1]) > FALLS * loss)


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
    """Of each draw of the curve and of lr90: the usable u, the best u and the best score."""

    usable: Floats
    best_us: Floats
    best: Floats


def _drawn(response: Response, ceiling_us: Floats, loss: float) -> _Drawn:
    if not 0 < loss < np.inf:
        raise ValueError(f"loss is {loss}: it must be above 0, in units of the score")
    if not response.scored or not len(ceiling_us):
        return _Drawn(np.array([]), np.array([]), np.array([]))
    lattice, scores, rows = response.lattice, response.scores, np.arange(DRAWS)
    # lr90 and the curve are independent: its values spread evenly over the draws.
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
    # Where the edge itself is not enough, the curve falls from the last place that is.
    fall = np.maximum(scores[rows, last] - scores[rows, last + 1], 1e-300)
    crossing = lattice[last] + STEP * (scores[rows, last] - (best - loss)) / fall
    usable = np.where(at_edge >= best - loss, edge, np.minimum(crossing, edge))
    return _Drawn(
        np.minimum(usable, ceilings), np.where(at_edge >= best, edge, lattice[place]), best
    )


def _is_bounded_above(response: Response, us: Floats) -> bool:
    """Whether no more than a few usable rates lie at the upper end of the range."""
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
    # A rate at the limit itself has a logarithm that is one float above it, now and then.
    if not low - ROUNDING <= one.u <= high + ROUNDING:
        raise ValueError(f"a run is at {one.u}, outside {low} to {high}: widen the range")
