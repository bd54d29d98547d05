"""P(stable | learning rate) of one arm: a posterior over curves, on a grid of their parameters.

With u the decimal logarithm of the learning rate, a fresh seed is stable with probability

    p(u) = g + (1 - g - l) upper(u) lower(u)
    upper(u) = (1 - a) sigmoid((theta - u) / s) + a sigmoid((theta - step - u) / s)
    lower(u) = 1 - depth (1 - sigmoid((u - theta + distance) / s0))

This is a band with two edges. At the upper edge theta, p falls from 90% to 10% within w = 4.394 s
decades, or in two steps, the first with the share a. The lower edge, below which training is too
slow, is a nuisance parameter, `distance` decades below theta. l is the probability of a failure
within the band, g that of a stable run outside. This is the psychometric function of psychophysics
(Kontsevich & Tyler 1999; Watson 2017; lapse rates as nuisance: Prins 2013). Each trial is one
Bernoulli draw from it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]

# The distance in u between p = 0.9 and p = 0.1 of a logistic curve of scale 1: 2 ln 9.
WIDTH_OF_SCALE = 2 * np.log(9)
# Transition widths in decades. Observed widths are 0.1 to 0.2, and over 1 for batch norm with relu.
WIDTHS = 0.05 * 2 ** (np.arange(13) / 2)
# Prior weights: a transition twice as wide is 0.84 times as probable. In simulated studies, equal
# weights cost a sixth more runs for a width of 0.1 (n = 100). With a factor of 0.71, lr50's
# intervals cover 90% for a width of 0.8, and lr90's 84% if the curve has a shoulder (n = 1,000).
WIDTH_WEIGHTS = WIDTHS**-0.25 / np.sum(WIDTHS**-0.25)
# The step between values of theta: a fraction of the width, but too fine to affect an interval.
STEPS_A_WIDTH, FINEST, COARSEST = 6, 0.0125, 0.1
# Lower edges: decades below the upper edge, transition width in decades, and depth, which is the
# share of stable runs that is lost below. With a single scale of 0.3 decades, P(lr90 exists) was
# 0.06 for a sharp lower edge 0.4 decades below the ceiling.
LOWER_EDGES = (
    *((distance, 0.1, 1.0) for distance in (0.25, 0.4, 0.6, 0.9)),
    *((distance, 0.4, 1.0) for distance in (0.4, 0.6, 0.9, 1.3, 2.0)),
    *((distance, 1.3, 1.0) for distance in (0.9, 1.3, 2.0, 3.0, 4.5, 6.5)),
    *((distance, 0.4, 0.5) for distance in (0.6, 1.3)),
    *((distance, 1.3, 0.5) for distance in (2.0, 3.0)),
    *((distance, 0.4, 0.25) for distance in (0.6, 1.3)),
)
# Upper edges with two steps: the distance of the first below the second in decades, and its share;
# then their total prior weight, and the widest step. If a third of the seeds fails 0.4 decades
# below the others, lr90's interval covered 89% without such edges, pooled 84% (n = 80).
STEPS = tuple((decades, share) for decades in (0.3, 0.6) for share in (0.2, 0.4))
IN_STEPS, WIDEST_STEP = 0.05, 0.3
# A lower edge nearer than this share of the upper edge's width leaves no band; lapses cover this.
NEAREST = 0.8
# Probabilities of a failure within the band (l) and of a success outside (g), and the prior weight
# of the pair. Most networks that train once train always, but the prior must also allow "trains 4
# times in 5" and "trains nowhere half of the time".
LAPSES = (
    (0.0, 0.0, 0.45),
    (0.02, 0.0, 0.15),
    (0.05, 0.0, 0.10),
    (0.12, 0.0, 0.05),
    (0.2, 0.0, 0.04),
    (0.3, 0.0, 0.02),
    (0.45, 0.0, 0.02),
    (0.6, 0.0, 0.01),
    (0.75, 0.0, 0.01),
    (0.9, 0.0, 0.01),
    (0.0, 0.03, 0.07),
    (0.03, 0.08, 0.05),
    (0.2, 0.1, 0.02),
)
# The prior weights of "no learning rate trains" and of a lower edge.
NOTHING_TRAINS = 0.02
LOWER_EDGE_WITHIN = 0.4
# The prior of theta falls tenfold with each decade outside the expected range, so the search leaves
# the range as soon as trials point beyond it.
DECAY = 1.0
CREDIBLE = 0.95
# Number of fixed-point steps to an edge: the last one moves it by less than 1e-6 decades. Bisection
# starts this many scales away.
ROOT_STEPS, BISECTED = 40, 20.0
# Number of curves that represent the posterior where using all curves costs too much.
DRAWS = 2000
# A band's values are cached for this many learning rates: 0.6 MB each.
KEPT = 64
# Smallest likelihood of a trial, so that no single trial excludes a curve.
TINY = 1e-6


# A judge's prediction before the end of a run.
Call = Literal["failure", "success"]


class Observation(NamedTuple):
    """A trial: its log10 learning rate, and whether it was stable.

    `called` is the judge's prediction before the run's end, None without one. `ended` says that
    this call ended the run; `stable` is then the prediction, which may be wrong. If a called run
    continues to its end, it shows whether the call was right. `cost` is in full runs. `score` is
    the score of a run that trained to its end.
    """

    u: float
    stable: bool
    called: Call | None = None
    ended: bool = False
    cost: float = 1.0
    score: float | None = None


class Tally(NamedTuple):
    """The number of early calls of a kind whose runs continued, and of wrong calls among them."""

    audited: int = 0
    wrong: int = 0

    @property
    def miscall(self) -> float:
        """Probability that an early call is wrong; without audited calls it is one in twenty."""
        return (1 + self.wrong) / (20 + self.audited)


class Calls(NamedTuple):
    """The audited early calls of failure and of success: those whose runs continued."""

    failures: Tally = Tally()
    successes: Tally = Tally()

    def with_those_of(self, observations: Iterable[Observation]) -> "Calls":
        """These calls and the audited calls among a study's own trials."""
        found = {"failure": self.failures, "success": self.successes}
        for one in observations:
            if one.called is not None and not one.ended:
                known = found[one.called]
                wrong = one.stable == (one.called == "failure")
                found[one.called] = Tally(known.audited + 1, known.wrong + wrong)
        return Calls(found["failure"], found["success"])


class Edge(NamedTuple):
    """The highest log10 learning rate with a given probability of a stable run.

    `median`, `low` and `high` (95%) assume that such a rate exists; `exists` is the probability of
    this.
    """

    median: float
    low: float
    high: float
    exists: float

    @property
    def decades(self) -> float:
        """Width of the interval."""
        return self.high - self.low


@dataclass(frozen=True)
class Range:
    """The expected range of the ceiling, and the limits of all trials, in log10."""

    low: float
    high: float
    lowest: float
    highest: float


class Band(NamedTuple):
    """An upper and a lower edge, without lapses, and the prior weight of this pair."""

    theta: float
    width: float
    distance: float
    lower_width: float
    depth: float
    step: float
    share: float
    weight: float


# Distance, width and depth that mean no lower edge, and the step that means none.
NO_LOWER_EDGE, NO_STEP = (0.0, 1.0, 0.0), (0.0, 0.0)
Bands = npt.NDArray[np.intp] | slice


class Curves:
    """The grid of all candidate curves p(u), with their prior.

    Axes: (bands, lapses). A band is an upper edge with or without a lower edge. Memory: about 4 MB
    per array for eight decades.
    """

    def __init__(self, bounds: Range) -> None:
        self.bounds = bounds
        pairs = [
            triple
            for width, weight in zip(WIDTHS, WIDTH_WEIGHTS, strict=True)
            for triple in _thetas(bounds, width, weight)
        ]
        bands = [
            band for theta, width, weight in pairs for band in _bands(bounds, theta, width, weight)
        ]
        # For "no learning rate trains": an upper edge far below all limits.
        bands.append(
            Band(bounds.lowest - 100, WIDTHS[-1], *NO_LOWER_EDGE, *NO_STEP, NOTHING_TRAINS)
        )
        columns = np.array(bands).T
        theta, self.width, distance, lower_width, depth, self._step, self._share, weight = columns
        self._theta, self._scale = theta, self.width / WIDTH_OF_SCALE
        self._phi, self._lower_scale = theta - distance, lower_width / WIDTH_OF_SCALE
        self._depth = depth
        lapse, self._guess, lapse_weight = np.array(LAPSES).T
        self._gain = 1 - lapse - self._guess
        self._edges: dict[float, Floats] = {}
        self._orders: dict[float, npt.NDArray[np.intp]] = {}
        self._sorted: dict[float, Floats] = {}
        self._values: dict[float, tuple[Single, npt.NDArray[np.intp]]] = {}
        prior = weight[:, None] * lapse_weight
        self.prior: Floats = prior / prior.sum()
        self.log_prior: Floats = np.log(self.prior)

    def probability(self, u: float) -> Floats:
        """p(u) of each curve."""
        return np.asarray(self._guess + self._gain * self._band(u)[:, None])

    def log_probability(self, u: float, stable: bool, miscall: float = 0.0) -> Single:
        """Log of each curve's probability that a run at `u` is reported as `stable`.

        The report is wrong with the probability `miscall`.
        """
        # The probability of a stable report is offset + slope p. Single precision and in-place
        # operations take a fifth of the time, and errors of 1e-7 are far below TINY.
        offset, slope = miscall, 1 - 2 * miscall
        if not stable:
            offset, slope = 1 - miscall, -slope
        values, place = self._distinct(u)
        told = np.multiply.outer(values, (slope * self._gain).astype(np.float32))
        told += (offset + slope * self._guess).astype(np.float32)
        np.maximum(told, np.float32(TINY), out=told)
        return np.take(np.log(told, out=told), place, axis=0)

    def chosen(self, cells: npt.NDArray[np.intp], us: Floats) -> Floats:
        """p(u) of the curves at flat indices `cells`, for each u of `us`: (us, cells)."""
        band, lapse = np.unravel_index(cells, self.prior.shape)
        # Half of the curves of a sample share their band with another one.
        bands, place = np.unique(band, return_inverse=True)
        at = us[:, None]
        upper, lower = (
            np.take(edge(bands, at), place, axis=1) for edge in (self._upper, self._lower)
        )
        return np.asarray(self._guess[lapse] + self._gain[lapse] * upper * lower)

    def edges(self, target: float) -> Floats:
        """The highest u with p(u) >= target of each curve; -inf for curves without one."""
        if target not in self._edges:
            self._edges[target] = self._find_edges(target)
        return self._edges[target]

    def by_edge(self, target: float) -> npt.NDArray[np.intp]:
        """Flat indices of the curves sorted by their edge; curves without an edge come first."""
        if target not in self._orders:
            self._orders[target] = np.argsort(self.edges(target), axis=None, kind="stable")
        return self._orders[target]

    def sorted_edges(self, target: float) -> Floats:
        """The sorted edges of the curves that have one: the last ones of `by_edge`."""
        if target not in self._sorted:
            u = self.edges(target).ravel()[self.by_edge(target)]
            self._sorted[target] = u[np.searchsorted(u, -np.inf, side="right") :]
        return self._sorted[target]

    def _distinct(self, u: float) -> tuple[Single, npt.NDArray[np.intp]]:
        """The distinct values of the bands' p at `u`, and the index of each band's value.

        A quarter of the bands differ in single precision. Cached for a study's learning rates.
        """
        found = self._values.get(u)
        if found is None:
            if len(self._values) >= KEPT:
                self._values.clear()
            band = self._band(u).astype(np.float32)
            found = self._values[u] = np.unique(band, return_inverse=True)
        return found

    def _band(self, u: float) -> Floats:
        every = slice(None)
        return self._upper(every, u) * self._lower(every, u)

    def _upper(self, bands: Bands, u: Floats | float) -> Floats:
        theta, scale, share = self._theta[bands], self._scale[bands], self._share[bands]
        upper = _sigmoid((theta - u) / scale)
        # One band in six has two steps.
        two = np.flatnonzero(share)
        at = np.broadcast_to(u, upper.shape)[..., two]
        first = _sigmoid((theta[two] - self._step[bands][two] - at) / scale[two])
        upper[..., two] += share[two] * (first - upper[..., two])
        return upper

    def _lower(self, bands: Bands, u: Floats | float) -> Floats:
        depth = self._depth[bands]
        lower = np.ones(np.broadcast_shapes(depth.shape, np.shape(u)))
        # Most curves of a sample have no lower edge.
        edged = np.flatnonzero(depth)
        at = np.broadcast_to(u, lower.shape)[..., edged]
        above = _sigmoid((at - self._phi[bands][edged]) / self._lower_scale[bands][edged])
        lower[..., edged] = 1 - depth[edged] * (1 - above)
        return lower

    def _find_edges(self, target: float) -> Floats:
        bands, lapses = (axis.ravel() for axis in np.indices(self.prior.shape))
        theta, scale = self._theta[bands], self._scale[bands]
        needed = ((target - self._guess) / self._gain)[lapses]
        with np.errstate(divide="ignore", invalid="ignore"):
            found = theta - scale * _logit(needed)
            places = np.flatnonzero(self._depth[bands] > 0)
            # The lower edge lowers p a little. Iterating downwards converges to the highest root.
            for _ in range(ROOT_STEPS):
                before = found[places]
                band = bands[places]
                following = theta[places] - scale[places] * _logit(
                    needed[places] / self._lower(band, before)
                )
                found[places] = following
                # Most curves converge after one step and drop out: 20 decades take 0.5 s, not 5.5.
                places = places[(following != before) & ~np.isnan(following)]
            in_steps = np.flatnonzero(self._share[bands] > 0)
            found[in_steps] = self._edge_of_steps(bands[in_steps], needed[in_steps])
            reached = (
                self._guess[lapses]
                + self._gain[lapses] * self._upper(bands, found) * self._lower(bands, found)
            ) >= target - 1e-3
        # A root far below every trial does not count: it is not at the upper edge.
        edges = np.where(reached & (found > self.bounds.lowest - 1), found, -np.inf)
        return edges.reshape(self.prior.shape)

    def _edge_of_steps(self, bands: npt.NDArray[np.intp], needed: Floats) -> Floats:
        """The edges of bands with two steps and without a lower edge, by bisection."""
        theta, scale = self._theta[bands], self._scale[bands]
        # Far enough below the first step and above the second for any share.
        low, high = theta - self._step[bands] - BISECTED * scale, theta + BISECTED * scale
        for _ in range(ROOT_STEPS):
            middle = (low + high) / 2
            above = self._upper(bands, middle) >= needed
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return np.asarray(low)


NO_CALLS = Calls()


class Posterior:
    """The posterior over curves, given the trials so far.

    `calls` counts early calls that were audited elsewhere. The trials' audited calls are added.
    """

    def __init__(
        self, curves: Curves, observations: Sequence[Observation] = (), calls: Calls = NO_CALLS
    ) -> None:
        self.curves = curves
        self.observations = tuple(observations)
        self.calls = calls
        self.audited = calls.with_those_of(observations)
        self._power = 1.0
        self._samples: dict[tuple[int, float], npt.NDArray[np.intp]] = {}
        self._below: dict[float, Floats] = {}

    def after(self, observation: Observation) -> "Posterior":
        """The posterior after one more trial."""
        longer = Posterior(self.curves, (*self.observations, observation), self.calls)
        longer._power = self._power
        # Reuse the likelihoods computed so far.
        longer._log_of_whole, longer._log_of_ended = self._log_of_whole, self._log_of_ended
        if not observation.ended:
            longer._log_of_whole = self._log_of_whole + longer._log_probability(observation)
            if longer.audited != self.audited:
                del longer._log_of_ended
        else:
            longer._log_of_ended = self._log_of_ended + longer._log_probability(observation)
        return longer

    def tempered(self, power: float) -> "Posterior":
        """The posterior with each trial counted `power` times: less certain if no curve fits."""
        milder = Posterior(self.curves, self.observations, self.calls)
        milder._log_of_whole, milder._log_of_ended = self._log_of_whole, self._log_of_ended
        milder._power = power
        return milder

    def reweighted(self, widths: Floats) -> "Posterior":
        """The posterior if the prior weight of each of WIDTHS were multiplied by `widths`."""
        other = self.tempered(self._power)
        factor = np.interp(self.curves.width, WIDTHS, widths)[:, None]
        other.weights = self.weights * factor / np.sum(self.weights * factor)
        return other

    @cached_property
    def _log_of_whole(self) -> Floats:
        """Log likelihood of the runs that were not ended early: (bands, lapses)."""
        return self._log_likelihood(one for one in self.observations if not one.ended)

    @cached_property
    def _log_of_ended(self) -> Floats:
        """Log likelihood of the runs that a call ended, with the miscall rate of audited calls."""
        return self._log_likelihood(one for one in self.observations if one.ended)

    def _log_likelihood(self, observations: Iterable[Observation]) -> Floats:
        total: Floats = np.zeros(self.curves.prior.shape)
        # Equal results at one learning rate are evaluated once.
        alike = Counter(one._replace(called=None, cost=1.0, score=None) for one in observations)
        for observation, count in alike.items():
            total += count * self._log_probability(observation)
        return total

    @cached_property
    def weights(self) -> Floats:
        """Probability of each curve."""
        weights = self._log_of_whole + self._log_of_ended
        weights *= self._power
        weights += self.curves.log_prior
        weights -= weights.max()
        np.exp(weights, out=weights)
        weights /= weights.sum()
        return weights

    def edge(self, target: float) -> Edge:
        """The highest u at which a fresh seed is stable with probability `target`."""
        tail = (1 - CREDIBLE) / 2
        low, median, high = self._at(target, np.array([tail, 0.5, 1 - tail]))
        exists, _, _ = self._distribution(target)
        return Edge(float(median), float(low), float(high), min(exists, 1.0))

    def quantiles(self, target: float, count: int) -> Floats:
        """`count` sorted, equally probable values of that edge, given that it exists."""
        values = self._at(target, even_shares(count))
        return values[np.isfinite(values)]

    def mass(self, target: float, low: float, high: float) -> float:
        """Probability that the edge lies between `low` and `high`, given that it exists."""
        exists, u, upto = self._distribution(target)
        first, last = np.searchsorted(u, [low, high])
        return float((upto[last] - upto[first]) / exists) if exists else 0.0

    def width(self) -> float:
        """Median width of the transition, in decades."""
        by_width = self.weights.sum(axis=1)
        order = np.argsort(self.curves.width, kind="stable")
        below = by_width[order].cumsum()
        return float(self.curves.width[order][np.searchsorted(below, 0.5)])

    def band(self, us: Floats) -> tuple[Floats, Floats, Floats]:
        """Mean of p at each of `us` and the limits of its pointwise 95% interval."""
        cells = self.sample(DRAWS)
        p = np.sort(self.curves.chosen(cells, us), axis=1)
        tail = int(DRAWS * (1 - CREDIBLE) / 2)
        return p.mean(axis=1), p[:, tail], p[:, -tail - 1]

    def sample(self, count: int, target: float = 0.9) -> npt.NDArray[np.intp]:
        """`count` equally weighted curves as flat indices, sorted by their edge.

        Sampling is systematic, not random: equal posteriors give equal samples.
        """
        if (count, target) not in self._samples:
            self._samples[count, target] = self._new_sample(count, target)
        return self._samples[count, target]

    def predictive(self, u: float, runs: int) -> Floats:
        """Probabilities of 0, 1, ... `runs` stable runs among `runs` fresh seeds at `u`."""
        p = self.curves.chosen(self.sample(DRAWS), np.array([u]))[0]
        pmf = stats.binom.pmf(np.arange(runs + 1)[:, None], runs, p)
        return np.asarray(pmf.mean(axis=1))

    def fit(self, seed: int = 0) -> float:
        """Posterior predictive p-value of the trials: small if no curve fits them.

        The statistic measures how much neighbours in u miss the curve on the same side. Islands of
        stability and shoulders have this effect even if few of their trials are surprising alone.
        Trials at one u count as one neighbour, because sorting them by outcome would make them look
        alike. Each draw is compared with trials simulated from its own curve (Gelman, Meng & Stern
        1996).
        """
        us, places = np.unique([one.u for one in self.observations], return_inverse=True)
        if len(us) < 2:
            return 1.0
        stable = np.array([one.stable for one in self.observations])
        p = self.curves.chosen(self.sample(DRAWS), us)[places]
        again = np.random.default_rng(seed).random(p.shape) < p

        def alike(outcome: npt.NDArray[np.bool_]) -> Floats:
            missed = np.zeros((len(us), DRAWS))
            np.add.at(missed, places, outcome - p)
            return np.asarray((missed[1:] * missed[:-1]).sum(axis=0))

        return float(np.mean(alike(again) >= alike(stable[:, None])))

    def _new_sample(self, count: int, target: float) -> npt.NDArray[np.intp]:
        order, below = self.curves.by_edge(target), self._cumulated(target)
        places = np.searchsorted(below[1:], even_shares(count) * below[-1])
        return np.asarray(order[np.minimum(places, len(order) - 1)])

    def _log_probability(self, observation: Observation) -> Single:
        _, stable, _, ended, _, _ = observation
        kind = self.audited.successes if stable else self.audited.failures
        return self.curves.log_probability(observation.u, stable, kind.miscall if ended else 0.0)

    def _cumulated(self, target: float) -> Floats:
        """Cumulated weights of the curves, sorted by their edge: before each curve, and of all."""
        if target not in self._below:
            below = self._below[target] = np.zeros(self.weights.size + 1)
            np.take(self.weights.ravel(), self.curves.by_edge(target), out=below[1:], mode="clip")
            np.cumsum(below[1:], out=below[1:])
        return self._below[target]

    def _distribution(self, target: float) -> tuple[float, Floats, Floats]:
        """Probability that an edge exists, its values, and the weight before each and of all.

        Curves without an edge lie before the first value.
        """
        u, below = self.curves.sorted_edges(target), self._cumulated(target)
        upto = below[len(below) - 1 - len(u) :]
        return float(upto[-1] - upto[0]), u, upto

    def _at(self, target: float, shares: Floats) -> Floats:
        """The edge's quantiles; NaN if no curve has an edge."""
        exists, u, upto = self._distribution(target)
        if exists == 0:
            return np.full(len(shares), np.nan)
        wanted = upto[0] + shares * exists
        # A curve's edge lies at the middle of its weight, with interpolation between neighbours.
        own = np.clip(np.searchsorted(upto, wanted) - 1, 0, len(u) - 1)
        left = np.maximum(own - ((upto[own] + upto[own + 1]) / 2 > wanted), 0)
        right = np.minimum(left + 1, len(u) - 1)
        start, end = ((upto[place] + upto[place + 1]) / 2 for place in (left, right))
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(end > start, (wanted - start) / (end - start), 0.0)
        return np.asarray(u[left] + np.clip(part, 0, 1) * (u[right] - u[left]))


def even_shares(count: int) -> Floats:
    """The middles of `count` equal parts of 0 to 1."""
    return np.asarray((np.arange(count) + 0.5) / count)


@lru_cache(maxsize=4)
def curves(bounds: Range) -> Curves:
    """The grid for these bounds. Its construction takes about a third of a second."""
    return Curves(bounds)


def _thetas(bounds: Range, width: float, weight: float) -> Iterator[tuple[float, float, float]]:
    """Values of theta with their prior weights, which sum to `weight`."""
    step = min(max(width / STEPS_A_WIDTH, FINEST), COARSEST)
    # Wide transitions reach into the range from beyond its limits.
    thetas = np.arange(bounds.lowest - width / 2, bounds.highest + width / 2 + step, step)
    outside = np.maximum(np.maximum(bounds.low - thetas, thetas - bounds.high), 0)
    prior = 10 ** (-DECAY * outside)
    for theta, share in zip(thetas, prior / prior.sum(), strict=True):
        yield float(theta), width, float(weight * share)


def _bands(bounds: Range, theta: float, width: float, weight: float) -> Iterator[Band]:
    """An upper edge without a lower edge, and with each lower edge that leaves a visible band."""
    kinds = [
        kind
        for kind in LOWER_EDGES
        if kind[0] >= NEAREST * width and theta - kind[0] > bounds.lowest - kind[1] / 2
    ]
    lower = LOWER_EDGE_WITHIN * len(kinds) / len(LOWER_EDGES)
    stepped = IN_STEPS if width <= WIDEST_STEP else 0.0
    yield Band(theta, width, *NO_LOWER_EDGE, *NO_STEP, weight * (1 - lower - stepped))
    for kind in kinds:
        yield Band(theta, width, *kind, *NO_STEP, weight * lower / len(kinds))
    for step in STEPS if stepped else ():
        yield Band(theta, width, *NO_LOWER_EDGE, *step, weight * stepped / len(STEPS))


def _sigmoid(x: Floats) -> Floats:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def _logit(p: Floats) -> Floats:
    return np.log(p) - np.log1p(-p)
