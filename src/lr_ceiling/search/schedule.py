"""The schedule of a study: when each trial starts, what is known then, and when it is enough."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lr_ceiling.identity import digest_of
from lr_ceiling.search.acquisition import Explorer, narrow_after
from lr_ceiling.search.estimates import Estimates
from lr_ceiling.search.posterior import NO_CALLS, Calls, Floats, Observation, Posterior, Range

# How far beyond the expected range trials may go, in decades.
BEYOND = 2
# With so much hope that the trials under way are enough, no other is started.
ENOUGH = 0.5
# Of so many trials one is not ended early, so that wrong calls show.
AUDITED = 8
# Costs are sums of fractions.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Question:
    """What is asked of a search.

    The ceiling is expected between the learning rates `low` and `high`. The search ends when the
    95% interval of lr90 is `interval_decades` wide, or when `budget` full runs are spent. Learning
    rates and seeds follow from `seed`; `lag` is how many trials back results are known at the
    latest, and so how many trials may be under way at once.
    """

    low: float
    high: float
    interval_decades: float
    budget: float
    seed: int
    lag: int

    def aim(self, identity: object, calls: Calls = NO_CALLS) -> "Aim":
        """The aim of a study of what `identity` (anything of JSON) names.

        The budget is no part of its key, so that a larger one goes on where a smaller one ended.
        """
        bounds = {"low": self.low, "high": self.high}
        return Aim(
            key=digest_of(identity, self.lag, self.interval_decades, bounds, calls),
            low=self.low,
            high=self.high,
            interval_decades=self.interval_decades,
            budget=self.budget,
            lag=self.lag,
            calls=calls,
        )


@dataclass(frozen=True)
class Aim:
    """What a study is to find, and what it may spend on it.

    `key` is its identity; the ceiling is expected between `low` and `high`; `interval_decades` is
    how narrow the 95% interval of lr90 must get, `budget` what may be spent, in full runs; `lag` is
    how many trials back results are known at the latest; `calls` are the early calls that were
    audited before.
    """

    key: str
    low: float
    high: float
    interval_decades: float
    budget: float
    lag: int
    calls: Calls = NO_CALLS

    @property
    def bounds(self) -> Range:
        """Where the ceiling is expected and how far trials may go, in log10."""
        low, high = math.log10(self.low), math.log10(self.high)
        return Range(low, high, low - BEYOND, high + BEYOND)

    @property
    def limits(self) -> tuple[float, float]:
        """The learning rates that no trial may leave."""
        return 10**self.bounds.lowest, 10**self.bounds.highest


class Schedule:
    """Decides when each trial of a study starts and what is known then.

    Trial `index` knows what trials 0..known-1 showed and where those between are tried. Both follow
    from what the trials showed, not from the order in which they end: at each step the next result
    is needed or it is not.
    """

    def __init__(self, aim: Aim) -> None:
        self.index = 0
        self.known = 0
        self._aim = aim
        self._explorer = Explorer(aim.bounds, aim.key, aim.calls)
        self._tried: list[float] = []
        self._seen: list[Observation] = []

    def may_start(self, done: Mapping[int, Observation]) -> bool:
        """Whether the next trial starts now; otherwise more results are needed, or it is the end.

        The end is where the interval is narrow enough with all results known, or where a trial
        more might not end within the budget: one under way counts as a full run.
        """
        self._know(max(self.known, self.index - self._aim.lag + 1), done)
        while self.known == len(self._seen):
            posterior = self._explorer.posterior(self._seen)
            settled = Estimates(posterior).settled(self._aim.interval_decades)
            if self.known == self.index:
                return not settled and self._is_affordable(done)
            if not settled and not self._is_worth_waiting(posterior):
                return self._is_affordable(done)
            self._know(self.known + 1, done)
        return False

    def _is_worth_waiting(self, posterior: Posterior) -> bool:
        pending, decades = self._pending(), self._aim.interval_decades
        return self._explorer.waits(self._seen, pending) or (
            narrow_after(posterior, pending, decades) > ENOUGH
        )

    def propose(self) -> float:
        """The log10 learning rate of the next trial: what CeilingSampler gives as well."""
        return self._explorer.choose(self.index, self._seen, self._pending())

    def started(self, u: float) -> None:
        """Take in where trial `index` is tried; the next one is looked at then."""
        self._tried.append(u)
        self.index += 1

    def _pending(self) -> Floats:
        return np.array(self._tried[self.known :])

    def _know(self, known: int, done: Mapping[int, Observation]) -> None:
        self.known = known
        while len(self._seen) < known and len(self._seen) in done:
            self._seen.append(done[len(self._seen)])

    def _is_affordable(self, done: Mapping[int, Observation]) -> bool:
        spent = sum(done[i].cost if i in done else 1.0 for i in range(self.index))
        return spent + 1 <= self._aim.budget + ROUNDING
