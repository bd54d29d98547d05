"""Estimates of the ceiling from a posterior, with intervals, checks, and ratios of arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from lr_ceiling.rounding import short, significant
from lr_ceiling.search.posterior import CREDIBLE, WIDTH_WEIGHTS, Floats, Posterior, even_shares

# Records that are read from files must not have other keys.
FORBID = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with its 95% credible interval. A value that the trials don't bound is None.

    Examples:
        >>> Estimate(estimate=0.016, ci95=(0.0098, 0.018)).in_words()
        '0.016 (0.0098 to 0.018)'
    """

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID

    estimate: float | None
    ci95: tuple[float | None, float | None]

    def in_words(self, unit: str = "", digits: int = 2) -> str | None:
        """`0.016 (0.0098 to 0.018)`, or the only known limit; None if no limit is known."""
        low, high = (None if end is None else short(end, digits) for end in self.ci95)
        if self.estimate is not None and low and high:
            return f"{short(self.estimate, digits)}{unit} ({low} to {high})"
        if low:
            return f"at least {low}{unit}"
        return f"at most {high}{unit}" if high else None


@dataclass(frozen=True, kw_only=True)
class Checks:
    """Checks that say how far an estimate can be trusted."""

    __pydantic_config__: ClassVar[dict[str, str]] = FORBID

    # Probability that any learning rate is stable with probability 0.5, and 0.9.
    lr50_exists: float
    lr90_exists: float
    # Posterior predictive p-value of how similarly neighbouring trials miss the curve. Below 0.3
    # the fit is poor, and each trial counts half, which widens the intervals.
    fit: float
    widened: bool
    # Share of lr90's probability in the last decade at each end of the allowed range.
    edge_mass: tuple[float, float]
    # Shift of the estimate of lr90, in decades, if all transition widths are equally probable.
    prior_shift_decades: float | None


@dataclass(frozen=True, kw_only=True)
class Belief:
    """The posterior of an arm, thinned for figures and ratios.

    `probability` is the mean of P(stable) at each of `learning_rates`; `low` and `high` limit its
    pointwise 95% interval. `lr50`, `lr90` and `usable` are sorted, equally probable values. They
    are empty if the trials don't bound them from both sides.
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

# An edge is not bounded if more than this share of its probability lies in the last decade of the
# allowed range.
EDGE_MASS = 0.05
# In a range below four decades the last quarter counts as the last decade. Otherwise a range of two
# decades would consist of last decades only.
LAST = 1.0
LAST_SHARE = 0.25

# A printed interval is at least this share of the transition's width wide, since the grid of curves
# tells no finer. After 1,000 trials within a transition, 70% of lr90's intervals covered the truth
# without this, and 96% with it (n = 100 each, widths of 0.1 to 0.8 decades).
FINEST_SHARE = 0.25

# An edge whose probability of existing is lower than this is not reported.
LIKELY = 0.5
# With a lower probability than this, what is said of lr90 says so too: the line of the answer, and
# the verdict on a ratio of two, which assumes that both exist. At 0.9 such a verdict is right with
# probability of at least 0.9 x 0.975, seven times in eight. Of simulated networks that train at
# most 85 times in 100, 38 of 60 get an lr90, at .64 on average.
SURE = 0.9

# Fresh seeds are run at the lower limit of lr90 while P(lr90 exists) lies between these.
DOUBTFUL = (0.1, 0.96)
# The search for lr90 ends when this share of its probability lies in the highest allowed decade.
FUTILE = 0.85

# One sound study in twenty has so poor a fit: the p-value is not uniform, and 5% of simulated sound
# studies lie below .32 to .34 (n = 80 each). Each trial of such a study counts half.
POOR_FIT, HALF = 0.3, 0.5

# In posterior.json: number of points of the curve, and of values that represent a distribution.
POINTS, VALUES = 101, 400

QUANTILES = (0.025, 0.5, 0.975)
LIMITS = np.array([QUANTILES[0], QUANTILES[2]])

# An estimate and equally probable values, which are empty if it is not bounded from both sides.
Measured = tuple[Estimate, Sequence[float]]

NOTHING = Estimate(estimate=None, ci95=(None, None))


class Estimates:
    """Estimates of the ceiling of one arm."""

    def __init__(self, posterior: Posterior) -> None:
        self._raw = posterior

    @cached_property
    def fit(self) -> float:
        """Posterior predictive p-value of the trials."""
        return self._raw.fit()

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior, widened if no curve fits the trials."""
        return self._raw.tempered(HALF) if self.fit < POOR_FIT else self._raw

    @property
    def widened(self) -> bool:
        """Whether each trial counts half because no curve fits the trials."""
        return self.posterior is not self._raw

    def surest(self) -> tuple[float, Estimate]:
        """The tried learning rate with the highest P(stable), and this probability."""
        us = np.unique([one.u for one in self.posterior.observations])
        probability, low, high = self.posterior.band(us)
        best = int(np.argmax(probability))
        p, least, most = (round(float(values[best]), 4) for values in (probability, low, high))
        return _rate(float(us[best])), Estimate(estimate=p, ci95=(least, most))

    def ended(self, decades: float) -> Literal["interval", "range"] | None:
        """Why the search for the edge can end; None if it must continue.

        `interval`: the 95% interval of lr90 is bounded and at most `decades` wide. Confirming
        trials then decide whether lr90 exists. A poor fit does not prolong the search, because
        more edge trials would not improve it. `range`: lr90 lies at the end of the allowed range,
        or beyond.
        """
        edge = self._raw.edge(TARGETS["lr90"])
        if edge.decades <= decades and _bounded(self._raw, TARGETS["lr90"]) == (True, True):
            return "interval"
        above, _ = _edge_mass(self._raw, TARGETS["lr90"])
        return "range" if above > FUTILE else None

    def estimate(self, target: float) -> Estimate:
        """The highest learning rate that is stable with probability `target`.

        It is None if there is probably no such rate, and one-sided if the trials bound it from one
        side only.
        """
        edge = self.posterior.edge(target)
        if edge.exists < LIKELY:
            return NOTHING
        above, below = _bounded(self.posterior, target)
        limits = self._spread(target, np.array([edge.low, edge.high]), LIMITS)
        low, high = (
            _rate(u) if known else None for u, known in zip(limits, (below, above), strict=True)
        )
        return Estimate(estimate=_rate(edge.median) if above and below else None, ci95=(low, high))

    def measured(self, target: float) -> Measured:
        """The edge and equally probable values of it, which are empty if it is not bounded."""
        found = self.estimate(target)
        if found.estimate is None:
            return found, []
        us = self.posterior.quantiles(target, VALUES)
        return found, [_rate(u) for u in self._spread(target, us, even_shares(VALUES))]

    def bounds_of(self, target: float) -> Literal["both", "above only", "below only", "none"]:
        """The sides from which the trials bound the edge."""
        sides: dict[tuple[bool, bool], Literal["both", "above only", "below only", "none"]] = {
            (True, True): "both",
            (True, False): "above only",
            (False, True): "below only",
            (False, False): "none",
        }
        return sides[_bounded(self.posterior, target)]

    def checks(self) -> Checks:
        """The checks of these estimates."""
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

    def _spread(self, target: float, us: Floats, shares: Floats) -> Floats:
        """Quantiles `us` of an edge at `shares`, as far apart as the grid can tell."""
        edge, least = self.posterior.edge(target), FINEST_SHARE * self.posterior.width()
        if edge.decades >= least:
            return us
        near = edge.median + least * (shares - 0.5) / CREDIBLE
        return np.where(shares < 0.5, np.minimum(us, near), np.maximum(us, near))

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
    """Share of the edge's probability in the highest and in the lowest allowed decade."""
    bounds = posterior.curves.bounds
    last = min(LAST, LAST_SHARE * (bounds.highest - bounds.lowest))
    return (
        posterior.mass(target, bounds.highest - last, np.inf),
        posterior.mass(target, -np.inf, bounds.lowest + last),
    )


def ratio(above: Measured, below: Measured) -> Estimate:
    """The ratio of two arms' ceilings, each given with equally probable values.

    The two are independent, so the ratio's distribution is that of the difference of their
    marginals in log lr. If one ceiling is bounded from one side only, the ends of the two intervals
    bound the ratio from one side.
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
