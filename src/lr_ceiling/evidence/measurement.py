"""The ceilings of an arm, measured from any of its runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from lr_ceiling.evidence.records import Best, Surest, UsableRate
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import TARGETS, VALUES, Estimate, Estimates, Measured
from lr_ceiling.search.posterior import Calls, Observation, Posterior, Range, curves
from lr_ceiling.search.usable import (
    Scored,
    Usable,
    nothing_usable,
    scored_of,
    usable_below,
    usable_values,
)


@dataclass(frozen=True)
class Measurement:
    """The ceilings that observations support.

    `loss` is the allowed loss of accuracy at the usable rate; None skips the usable rate.
    """

    posterior: Posterior
    loss: float | None
    scored: tuple[Scored, ...]

    @classmethod
    def of(
        cls,
        observations: Sequence[Observation],
        bounds: Range,
        calls: Calls,
        loss: float | None,
        scored: Iterable[Observation] | None = None,
    ) -> Self:
        """The measurement from these observations, in any order, with their scores or `scored`."""
        posterior = Posterior(curves(bounds), observations, calls)
        return cls(posterior, loss, scored_of(observations if scored is None else scored))

    @cached_property
    def estimates(self) -> Estimates:
        """The estimates of the edges."""
        return Estimates(self.posterior)

    @property
    def exists(self) -> float:
        """Probability that an lr90 exists."""
        return round(self.estimates.posterior.edge(TARGETS["lr90"]).exists, 4)

    @cached_property
    def usable(self) -> Usable:
        """The usable rate: the highest one up to which no accuracy is lost."""
        if self.loss is None:
            return nothing_usable(None, "nobody asked how much accuracy may be lost")
        return usable_below(self.estimates.posterior, self.scored, self.loss)

    def measured(self, name: str) -> Measured:
        """lr50, lr90 or usable, with equally probable values if both sides are bounded."""
        if name != "usable":
            return self.estimates.measured(TARGETS[name])
        found = self.usable
        estimate = Estimate(estimate=found.estimate, ci95=found.ci95)
        if found.estimate is None or self.loss is None:
            return estimate, []
        us = usable_values(self.estimates.posterior, self.scored, self.loss, VALUES)
        return estimate, [significant(10**u) for u in us]


def surest_of(found: Estimates) -> Surest:
    """The learning rate with the highest P(stable), as a report's record."""
    rate, probability = found.surest()
    return Surest(learning_rate=rate, probability=probability)


def usable_rate(found: Usable) -> UsableRate:
    """The usable rate as a report's record."""
    return UsableRate(
        estimate=found.estimate,
        ci95=found.ci95,
        exists=found.exists,
        loss=found.loss,
        best=Best(learning_rate=found.best_rate.estimate, accuracy=found.best_score.estimate),
        reason=found.reason,
    )
