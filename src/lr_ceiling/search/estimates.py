"""What a posterior says of the ceiling: estimates with their intervals, checks, ratios of arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from lr_ceiling.rounding import short, significant
from lr_ceiling.search.posterior import WIDTH_WEIGHTS, Floats, Posterior

# Records that are read from files may have no other keys.
FORBID = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95% credible interval; None where the trials don't bound it."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID

    estimate: float | None
    ci95: tuple[float | None, float | None]

    def in_words(self, unit: str = "", digits: int = 2) -> str | None:
        """`0.016 (0.0098 to 0.018)`, or the one limit that is known; None without either."""
        low, high = (None if end is None else short(end, digits) for end in self.ci95)
        if self.estimate is not None and low and high:
            return f"{short(self.estimate, digits)}{unit} ({low} to {high})"
        if low:
            return f"at least {low}{unit}"
        return f"at most {high}{unit}" if high else None


@dataclass(frozen=True, kw_only=True)
class Checks:
    """What says how far to trust an estimate."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID

    # Probability that any learning rate is stable with probability 0.5, and 0.9.
    lr50_exists: float
    lr90_exists: float
    # Posterior predictive p-value of how alike neighbouring trials miss the curve; below 0.3 it
    # fits badly, and the trials were counted half, which widens the intervals.
    fit: float
    widened: bool
    # Share of lr90's probability in the last decade at each end of what may be tried.
    edge_mass: tuple[float, float]
    # How far the estimate of lr90 moves, in decades, if all transition widths are equally probable.
    prior_shift_decades: float | None


@dataclass(frozen=True, kw_only=True)
class Belief:
    """The posterior of an arm, thinned for figures and ratios.

    `probability` is the mean of P(stable) at each of `learning_rates`, `low` and `high` limit its
    pointwise 95% interval; `lr50`, `lr90` and `usable` are equally probable values, in order, empty
    where the trials don't bound them from both sides.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID

    learning_rates: tuple[float, ...]
    probability: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    lr50: tuple[float, ...]
    lr90: tuple[float, ...]
    usable: tuple[float, ...] = ()


TARGETS = {"lr50": 0.5, "lr90": 0.9}

# An edge is not bounded if more of its probability than this lies in the last decade that may be
# tried.
EDGE_MASS = 0.05
# In a range of less than four decades the last quarter counts as the last decade: a range of two
# decades would have no other part.
LAST = 1.0
LAST_SHARE = 0.25

# An edge that exists with less probability than this is reported as none.
LIKELY = 0.5

# Fresh seeds are tried at lr90's lower limit while P(lr90 exists) lies between these.
DOUBTFUL = (0.1, 0.96)
# The search for lr90 ends with so much of its probability in the highest decade that may be tried.
FUTILE = 0.85

# One sound study in twenty has a fit this poor: this p-value is not uniform, and 5% of simulated
# sound studies are below .32 to .34 (n = 80 each). Each trial of such a study counts half.
POOR_FIT, HALF = 0.3, 0.5

# Points of the curve, and values that stand for a distribution, in posterior.json.
POINTS, VALUES = 101, 400

QUANTILES = (0.025, 0.5, 0.975)

# An estimate and equally probable values, none where it is not bounded from both sides.
Measured = tuple[Estimate, Sequence[float]]

NOTHING = Estimate(estimate=None, ci95=(None, None))


class Estimates:
    """The ceiling of one arm, as far as its trials support one."""

    def __init__(self, posterior: Posterior) -> None:
        self._raw = posterior

    @cached_property
    def fit(self) -> float:
        """Posterior predictive p-value of the trials."""
        return self._raw.fit()

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior, widened where no curve fits the trials."""
        return self._raw.tempered(HALF) if self.fit < POOR_FIT else self._raw

    @property
    def widened(self) -> bool:
        """Whether the trials count half, since no curve fits them."""
        return self.posterior is not self._raw

    def surest(self) -> tuple[float, Estimate]:
        """The learning rate, among those tried, most probably stable, and how probable that is."""
        us = np.unique([one.u for one in self.posterior.observations])
        probability, low, high = self.posterior.band(us)
        best = int(np.argmax(probability))
        p, least, most = (round(float(values[best]), 4) for values in (probability, low, high))
        return _rate(float(us[best])), Estimate(estimate=p, ci95=(least, most))

    def ended(self, decades: float) -> Literal["interval", "range"] | None:
        """Why no more trials need look for the edge; None if they do.

        `interval`: the 95% interval of lr90 is bounded and at most `decades` wide. Whether lr90
        exists is for confirming trials to say, and whether a curve fits is not asked: more trials
        of the same kind would not mend that. `range`: lr90 lies at the end of what may be tried, or
        beyond.
        """
        edge = self._raw.edge(TARGETS["lr90"])
        if edge.decades <= decades and _bounded(self._raw, TARGETS["lr90"]) == (True, True):
            return "interval"
        above, _ = _edge_mass(self._raw, TARGETS["lr90"])
        return "range" if above > FUTILE else None

    def estimate(self, target: float) -> Estimate:
        """The highest learning rate that is stable with probability `target`.

        Null where there is probably none; one-sided where trials bound it from one side only.
        """
        edge = self.posterior.edge(target)
        if edge.exists < LIKELY:
            return NOTHING
        above, below = _bounded(self.posterior, target)
        low, high = _rate(edge.low) if below else None, _rate(edge.high) if above else None
        return Estimate(estimate=_rate(edge.median) if above and below else None, ci95=(low, high))

    def measured(self, target: float) -> Measured:
        """The edge with equally probable values of it; none where it is not bounded."""
        found = self.estimate(target)
        if found.estimate is None:
            return found, []
        return found, [_rate(u) for u in self.posterior.quantiles(target, VALUES)]

    def bounds_of(self, target: float) -> Literal["both", "above only", "below only", "none"]:
        """From which sides the trials bound the edge."""
        sides: dict[tuple[bool, bool], Literal["both", "above only", "below only", "none"]] = {
            (True, True): "both",
            (True, False): "above only",
            (False, True): "below only",
            (False, False): "none",
        }
        return sides[_bounded(self.posterior, target)]

    def checks(self) -> Checks:
        """What says how far to trust the estimates."""
        above, below = _edge_mass(self.posterior, TARGETS["lr90"])
        shift = self._flat_widths() - self.posterior.edge(TARGETS["lr90"]).median
        return Checks(
            lr50_exists=round(self.posterior.edge(TARGETS["lr50"]).exists, 4),
            lr90_exists=round(self.posterior.edge(TARGETS["lr90"]).exists, 4),
            fit=round(self.fit, 4),
            widened=self.widened,
            edge_mass=(round(below, 4), round(above, 4)),
            prior_shift_decades=round(shift, 4) if np.isfinite(shift) else None,
        )

    def belief(self) -> Belief:
        """The posterior, thinned for figures and ratios."""
        bounds = self.posterior.curves.bounds
        us = np.linspace(bounds.lowest, bounds.highest, POINTS)
        probability, low, high = self.posterior.band(us)
        values = {name: self.measured(target)[1] for name, target in TARGETS.items()}
        return Belief(
            learning_rates=tuple(map(_rate, us)),
            probability=_rounded(probability),
            low=_rounded(low),
            high=_rounded(high),
            **{name: tuple(found) for name, found in values.items()},
        )

    def _flat_widths(self) -> float:
        return self.posterior.reweighted(1 / WIDTH_WEIGHTS).edge(TARGETS["lr90"]).median


def _bounded(posterior: Posterior, target: float) -> tuple[bool, bool]:
    """Whether the trials bound the edge from above, and from below."""
    edge, trials = posterior.edge(target), posterior.observations
    above, below = _edge_mass(posterior, target)
    return (
        above < EDGE_MASS and any(not one.stable and one.u >= edge.median for one in trials),
        below < EDGE_MASS and any(one.stable and one.u <= edge.high for one in trials),
    )


def _edge_mass(posterior: Posterior, target: float) -> tuple[float, float]:
    """Share of the edge's probability in the highest decade that may be tried, and the lowest."""
    bounds = posterior.curves.bounds
    last = min(LAST, LAST_SHARE * (bounds.highest - bounds.lowest))
    return (
        posterior.mass(target, bounds.highest - last, np.inf),
        posterior.mass(target, -np.inf, bounds.lowest + last),
    )


def ratio(above: Measured, below: Measured) -> Estimate:
    """How many times one arm's ceiling another's is; each with equally probable values of it.

    The two are independent, so the ratio's distribution is that of the difference of their
    marginals in log lr. Where one is bounded from one side only, so is the ratio, by the ends of
    the two intervals.
    """
    (upper, high_values), (lower, low_values) = above, below
    if high_values and low_values:
        ratios = np.divide.outer(np.array(high_values), np.array(low_values))
        low, median, high = (significant(value) for value in np.quantile(ratios, QUANTILES))
        return Estimate(estimate=median, ci95=(low, high))
    (upper_low, upper_high), (lower_low, lower_high) = upper.ci95, lower.ci95
    return Estimate(
        estimate=None, ci95=(_over(upper_low, lower_high), _over(upper_high, lower_low))
    )


def _over(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None else significant(above / below)


def _rate(u: float) -> float:
    return significant(10**u)


def _rounded(values: Floats) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)
