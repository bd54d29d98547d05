"""The schedule of a study: when each trial starts, which results it knows, and when to stop.

A study has three parts, one after the other. `edge` trials give the most information about lr90.
`confirm` trials are fresh seeds at lr90's lower limit, to decide whether an lr90 exists. `usable`
trials lie below the edge, and measure the usable rate.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from lr_ceiling.identity import digest_of
from lr_ceiling.search.acquisition import Explorer, narrow_after
from lr_ceiling.search.estimates import DOUBTFUL, LIKELY, Estimates
from lr_ceiling.search.posterior import NO_CALLS, Calls, Floats, Observation, Posterior, Range

# Trials may go this far beyond the expected range, in decades.
BEYOND = 2
# No further trial starts while the trials in progress suffice with at least this probability.
ENOUGH = 0.5
# One trial in eight is not ended early, so that wrong calls are detected.
AUDITED = 8
# Costs are sums of fractions, which are not exact.
ROUNDING = 1e-9

Part = Literal["edge", "confirm", "usable"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class Question:
    """The question of a search.

    The ceiling is expected between the learning rates `low` and `high`. The search for it ends when
    the 95% interval of lr90 is `interval_decades` wide, or when `budget` full runs are spent. Then
    at most `confirmations` fresh seeds at its lower limit decide whether it exists. Finally at most
    `usable_runs` runs measure the usable rate, with the allowed loss `usable_loss` in units of the
    score; None skips this part. Learning rates and seeds follow from `seed`. Trial i knows at least
    the results up to trial i - `lag`, so at most `lag` trials are in progress at once.
    """

    low: float
    high: float
    interval_decades: float
    budget: float
    seed: int
    lag: int
    confirmations: int = 0
    usable_runs: int = 0
    usable_loss: float | None = None

    def aim(self, identity: object, calls: Calls = NO_CALLS) -> "Aim":
        """The aim of the study with this `identity` (any JSON value).

        Its key excludes the budget, so that a study with a larger budget continues a smaller one.
        """
        bounds = {"low": self.low, "high": self.high}
        return Aim(
            key=digest_of(identity, self.lag, self.interval_decades, bounds, calls),
            low=self.low,
            high=self.high,
            interval_decades=self.interval_decades,
            budget=self.budget,
            lag=self.lag,
            confirmations=self.confirmations,
            usable_runs=self.usable_runs,
            usable_loss=self.usable_loss,
            calls=calls,
        )


def range_around(low: float, high: float) -> Range:
    """The range of a search, in log10, whose ceiling is expected between two learning rates."""
    low, high = math.log10(low), math.log10(high)
    return Range(low, high, low - BEYOND, high + BEYOND)


@dataclass(frozen=True)
class Aim:
    """The goal of a study, and its budget.

    `key` is its identity, and `calls` are the early calls that were audited before. The other
    fields are those of Question.
    """

    key: str
    low: float
    high: float
    interval_decades: float
    budget: float
    lag: int
    confirmations: int = 0
    usable_runs: int = 0
    usable_loss: float | None = None
    calls: Calls = NO_CALLS

    @property
    def bounds(self) -> Range:
        """Where the ceiling is expected and how far trials may go, in log10."""
        return range_around(self.low, self.high)

    @property
    def most_runs(self) -> float:
        """The maximum number of full runs of all parts of the study."""
        return self.budget + self.confirmations + self.usable_runs

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest learning rate of all trials."""
        return 10**self.bounds.lowest, 10**self.bounds.highest


class Schedule:
    """Decides when each trial of a study starts and which results it knows.

    Trial `index` knows the results of trials 0..known-1 and the learning rates of the later ones.
    Both depend on the results alone, not on the order in which trials end. `part` is the part of
    the next trial. A part starts when all results of the former part are known.
    """

    def __init__(self, aim: Aim) -> None:
        self.index = 0
        self.known = 0
        self.part: Part = "edge"
        self.parts: list[Part] = []
        self._aim = aim
        self._explorer = Explorer(aim.bounds, aim.key, aim.calls, aim.usable_loss)
        self._tried: list[float] = []
        self._seen: list[Observation] = []

    def posterior(self) -> Posterior:
        """The posterior of the known trials."""
        return self._explorer.posterior(self._seen)

    def may_start(self, done: Mapping[int, Observation]) -> bool:
        """Whether the next trial starts now; if not, it waits for results, or the study is over."""
        self._know(max(self.known, self.index - self._aim.lag + 1), done)
        while self.known == len(self._seen):
            if self.known == self.index:
                return self._goes_on(done)
            if not self._starts_beside():
                self._know(self.known + 1, done)
            elif self._is_affordable(done):
                return True
            elif not all(index in done for index in range(self.index)):
                # Trials in progress may cost less than the cost reserved for them.
                return False
            else:
                self._know(self.index, done)
        return False

    def propose(self) -> float:
        """The log10 learning rate of the next trial, the same as CeilingSampler's."""
        if self.part == "confirm":
            return self._explorer.limit(self._seen[: self.parts.count("edge")], self._seen)
        if self.part == "usable":
            return self._explorer.below(self._seen, self._pending())
        return self._explorer.choose(self.index, self._seen, self._pending())

    def started(self, u: float) -> None:
        """Record the log10 learning rate of trial `index`, and move on to the next trial."""
        self._tried.append(u)
        self.parts.append(self.part)
        self.index += 1

    def _goes_on(self, done: Mapping[int, Observation]) -> bool:
        """Whether there is a next trial, given all results. Sets its part."""
        posterior = self._explorer.posterior(self._seen)
        if self.part == "edge":
            ended = Estimates(posterior).ended(self._aim.interval_decades)
            if ended is None and self._is_affordable(done):
                return True
            self.part = "confirm"
        if self.part == "confirm":
            if self._may_confirm() and is_doubtful(posterior):
                return True
            self.part = "usable"
        return self._may_look_below() and not self._explorer.usable(self._seen).settled()

    def _starts_beside(self) -> bool:
        """Whether the next trial starts while others are in progress."""
        posterior, pending = self._explorer.posterior(self._seen), self._pending()
        if self.part == "confirm":
            return self._may_confirm() and all(
                is_doubtful(self._foreseen(posterior, stable)) for stable in (True, False)
            )
        if self.part == "usable":
            return self._may_look_below() and not self._explorer.usable(self._seen).settled()
        ended = Estimates(posterior).ended(self._aim.interval_decades)
        return ended is None and not (
            self._explorer.waits(self._seen, pending)
            or narrow_after(posterior, pending, self._aim.interval_decades) > ENOUGH
        )

    def _may_confirm(self) -> bool:
        return self.parts.count("confirm") < self._aim.confirmations

    def _may_look_below(self) -> bool:
        count = self.parts.count("usable")
        # A problem that returns bools has no scores. Runs that ended early have no score either.
        graded = any(one.score is not None for one in self._seen)
        may_be = count == 0 and any(one.called == "success" for one in self._seen)
        likely = self.posterior().edge(0.9).exists >= LIKELY
        return (graded or may_be) and likely and count < self._aim.usable_runs

    def _foreseen(self, posterior: Posterior, stable: bool) -> Posterior:
        """The posterior if all trials in progress were stable, or if none were."""
        for u in self._pending():
            posterior = posterior.after(Observation(float(u), stable))
        return posterior

    def _pending(self) -> Floats:
        return np.array(self._tried[self.known :])

    def _know(self, known: int, done: Mapping[int, Observation]) -> None:
        self.known = known
        while len(self._seen) < known and len(self._seen) in done:
            self._seen.append(done[len(self._seen)])

    def _is_affordable(self, done: Mapping[int, Observation]) -> bool:
        """Whether one more edge trial fits the budget; one in progress counts as a full run."""
        if self.part != "edge":
            return True
        spent = sum(done[i].cost if i in done else 1.0 for i in range(self.index))
        return spent + 1 <= self._aim.budget + ROUNDING


def is_doubtful(posterior: Posterior) -> bool:
    """Whether the existence of an lr90 is undecided."""
    low, high = DOUBTFUL
    return low < posterior.edge(0.9).exists < high
