"""Chooses the trial with the most information about the edge per expected training step."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from lr_ceiling.identity import derived_seed
from lr_ceiling.search.posterior import (
    CREDIBLE,
    DRAWS,
    NO_CALLS,
    Calls,
    Floats,
    Observation,
    Posterior,
    Range,
    curves,
)
from lr_ceiling.search.threads import one_thread
from lr_ceiling.search.usable import (
    CEILINGS,
    LOWER,
    Usable,
    next_rate,
    response_of,
    scored_of,
    usable_below,
)

# Trials measure the highest learning rate that is stable with this probability.
TARGET = 0.9

# The distance between candidates, in decades: an eighth of the narrowest useful interval.
STEP = 0.025

CANDIDATES = 80

# A trial that succeeds or fails with at most this probability gives no information.
CERTAIN = 0.01

# Number of equally probable bins of the edge, for the mutual information.
BINS = 20

NONE_PENDING: Floats = np.array([])

# The gain is averaged over this many outcomes of the trials in progress: over all outcomes of up
# to six trials.
FANTASIES = 64

# One trial in ten searches for islands of stability above the interval.
SENTINELS = 10

# The cost of starting and evaluating a run, in full runs. Without it, trials that diverge at once
# would seem free.
OVERHEAD = 0.02

# Runs at the low end of the expected range, before other runs search for the usable rate.
LOW_RUNS = 2

# A trial waits for the next result if its expected gain now is below this share of its gain then.
WORTH_WAITING = 0.7

# Trial costs are learned, starting from two assumed trials with these costs, in full runs.
FAILURE_COST, SUCCESS_COST, COST_SEEN = 0.5, 1.0, 2


class Explorer:
    """Chooses log10 learning rates from the results of earlier trials alone.

    The same trials give the same choices. State that is kept between calls only saves time.
    """

    def __init__(
        self, bounds: Range, key: str, calls: Calls = NO_CALLS, loss: float | None = None
    ) -> None:
        """`key` seeds the sentinels; `calls` is for Posterior, `loss` for Usable."""
        self._key = key
        self._loss = loss
        self._limit: tuple[tuple[Observation, ...], float] | None = None
        self._bounds = bounds
        self._known = self._nothing_known = Posterior(curves(bounds), (), calls)
        self._prospect: Prospect | None = None

    def posterior(self, observations: Sequence[Observation]) -> Posterior:
        """The posterior of these trials."""
        # Several threads may call this at once, so each works with the reference read here.
        known = self._known
        if known.observations != tuple(observations[: len(known.observations)]):
            known = self._nothing_known
        for observation in observations[len(known.observations) :]:
            known = known.after(observation)
        self._known = known
        return known

    def choose(self, index: int, observations: Sequence[Observation], pending: Floats) -> float:
        """The log10 learning rate of trial `index`, with trials in progress at `pending`."""
        posterior = self.posterior(observations)
        sentinel = self._sentinel(index, posterior)
        return self._prospect_of(posterior).best(pending) if sentinel is None else sentinel

    def limit(self, edges: Sequence[Observation], observations: Sequence[Observation]) -> float:
        """The log10 learning rate of a confirming trial: the lower limit of lr90.

        The limit follows from the edge trials. If seeds fail there, the limit by all trials is
        used if it is lower.
        """
        if self._limit is None or self._limit[0] != tuple(edges):
            posterior = Posterior(curves(self._bounds), edges, self._nothing_known.calls)
            self._limit = posterior.observations, self._lowest_edge(posterior)
        return min(self._limit[1], self._lowest_edge(self.posterior(observations)))

    def _lowest_edge(self, posterior: Posterior) -> float:
        edge = posterior.edge(TARGET)
        return edge.low if edge.exists else self._bounds.low

    def below(self, observations: Sequence[Observation], pending: Floats) -> float:
        """The log10 learning rate of a trial that searches for the usable rate.

        The first two are at the low end of the expected range, unless it is too low to train: the
        best score may lie anywhere in the range, and a single run may be an outlier.
        """
        near = [one for one in observations if one.u <= self._bounds.low + LOWER]
        scores = sum(one.score is not None for one in near)
        scores += int(np.sum(pending <= self._bounds.low + LOWER))
        if scores < LOW_RUNS and all(one.stable for one in near):
            return self._bounds.low
        response = response_of(scored_of(observations), self._bounds)
        ceilings = self.posterior(observations).quantiles(TARGET, CEILINGS)
        return next_rate(response, pending, ceilings, self._asked_loss)

    def usable(self, observations: Sequence[Observation]) -> Usable:
        """The usable rate, as far as these trials show."""
        scored, posterior = scored_of(observations), self.posterior(observations)
        return usable_below(posterior, scored, self._asked_loss)

    @property
    def _asked_loss(self) -> float:
        if self._loss is None:
            raise ValueError("loss is None: say how much of the score may be lost")
        return self._loss

    def waits(self, observations: Sequence[Observation], pending: Floats) -> bool:
        """Whether a trial is worth much more after the next result of a trial in progress.

        With up to four trials in progress, waiting reduces the cost of a search by 25%, and does
        not slow it on two cores.
        """
        if not len(pending):
            return False
        prospect = self._prospect_of(self.posterior(observations))
        return prospect.worth(pending) < WORTH_WAITING * prospect.worth(NONE_PENDING)

    def _prospect_of(self, posterior: Posterior) -> "Prospect":
        # A trial asks for it up to four times, with other trials in progress.
        prospect = self._prospect
        if prospect is None or prospect.posterior is not posterior:
            prospect = self._prospect = Prospect(posterior)
        return prospect

    def _sentinel(self, index: int, posterior: Posterior) -> float | None:
        generator = np.random.default_rng(derived_seed(self._key, "sentinel", index))
        above = posterior.edge(TARGET).high
        if generator.random() * SENTINELS >= 1 or not above < self._bounds.high:
            return None
        return float(generator.uniform(above, self._bounds.high))


class Prospect:
    """The expected information about the edge per expected cost, for a trial at each candidate.

    The outcomes of the trials in progress, at the log10 learning rates `pending`, are unknown, so
    the information is averaged over them.
    """

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self._cells = posterior.sample(DRAWS, TARGET)
        bounds = posterior.curves.bounds
        lattice = np.arange(bounds.lowest, bounds.highest + STEP / 2, STEP)
        p = posterior.curves.chosen(self._cells[:: DRAWS // 200], lattice).mean(axis=1)
        undecided = np.flatnonzero((p > CERTAIN) & (p < 1 - CERTAIN))
        if not len(undecided):
            undecided = np.array([np.abs(p - 0.5).argmin()])
        self._candidates = lattice[undecided[:: -(-len(undecided) // CANDIDATES)]]
        self._p = posterior.curves.chosen(self._cells, self._candidates)
        mean = self._p.mean(axis=1)
        seen = posterior.observations
        self._cost = OVERHEAD + mean * success_cost(seen) + (1 - mean) * failure_cost(seen)
        self._worth: dict[tuple[float, ...], Floats] = {}

    def best(self, pending: Floats) -> float:
        """The log10 learning rate with the highest expected gain."""
        return float(self._candidates[np.argmax(self._gain_per_cost(pending))])

    def worth(self, pending: Floats) -> float:
        """The expected gain there, in nats per full run."""
        return float(self._gain_per_cost(pending).max())

    def _gain_per_cost(self, pending: Floats) -> Floats:
        key = tuple(pending.tolist())
        if key not in self._worth:
            fantasies = _fantasies(self.posterior.curves.chosen(self._cells, pending))
            self._worth[key] = information(self._p, fantasies) / self._cost
        return self._worth[key]


def narrow_after(posterior: Posterior, pending: Floats, decades: float) -> float:
    """Probability that the edge's interval is at most `decades` wide after the pending trials."""
    cells = posterior.sample(DRAWS, TARGET)
    edges = posterior.curves.edges(TARGET).ravel()[cells]
    fantasies = _fantasies(posterior.curves.chosen(cells, pending)) * np.isfinite(edges)
    below = fantasies.cumsum(axis=1)
    probable = below[:, -1]
    tail = (1 - CREDIBLE) / 2
    low, high = (
        edges[np.minimum((below < share * probable[:, None]).sum(axis=1), DRAWS - 1)]
        for share in (tail, 1 - tail)
    )
    return float(probable[high <= low + decades].sum() / max(probable.sum(), 1e-300))


@one_thread
def information(p: Floats, fantasies: Floats) -> Floats:
    """Mutual information, in nats, of each candidate's outcome and the edge: (candidates,).

    `p` (candidates, draws) is P(stable) of each candidate under each draw of the posterior, with
    the draws sorted by their edge. `fantasies` (outcomes, draws) is the probability of each outcome
    of the trials in progress under each draw.
    """
    # (bins, candidates, outcomes): the joint probability with "stable", and the bin's own.
    draws = p.shape[1]
    by_bin = p.reshape(len(p), BINS, draws // BINS).transpose(1, 0, 2)
    weights = fantasies.reshape(len(fantasies), BINS, draws // BINS).transpose(1, 2, 0)
    stable = by_bin @ weights / draws
    either = weights.sum(axis=1)[:, None, :] / draws
    within = (either * _entropy(stable / np.maximum(either, 1e-300))).sum(axis=0)
    total = either.sum(axis=0)
    without = total * _entropy(stable.sum(axis=0) / np.maximum(total, 1e-300))
    return np.asarray((without - within).sum(axis=1))


def failure_cost(observations: Sequence[Observation]) -> float:
    """Expected cost of a failed trial, in full runs."""
    return _cost([one.cost for one in observations if not one.stable], FAILURE_COST)


def success_cost(observations: Sequence[Observation]) -> float:
    """Expected cost of a stable trial, in full runs."""
    return _cost([one.cost for one in observations if one.stable], SUCCESS_COST)


def _cost(seen: Sequence[float], before: float) -> float:
    return (COST_SEEN * before + sum(seen)) / (COST_SEEN + len(seen))


def _fantasies(p: Floats) -> Floats:
    """Probability, under each draw, of outcomes of trials with P(stable) `p` (trials, draws)."""
    count = len(p)
    if 2**count <= FANTASIES:
        outcomes = np.array(list(product((False, True), repeat=count)), dtype=bool)
        outcomes = outcomes.reshape(2**count, count)
    else:
        # Outcomes simulated from evenly spaced draws, with a fixed seed.
        chosen = np.linspace(0, p.shape[1] - 1, FANTASIES).astype(int)
        outcomes = np.random.default_rng(0).random((FANTASIES, count)) < p[:, chosen].T
        outcomes = np.unique(outcomes, axis=0)
    log = np.where(outcomes[:, :, None], np.log(p + 1e-12), np.log1p(1e-12 - p)).sum(axis=1)
    return np.asarray(np.exp(log))


def _entropy(p: npt.NDArray[np.float64]) -> Floats:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return -(p * np.log(p) + (1 - p) * np.log1p(-p))
