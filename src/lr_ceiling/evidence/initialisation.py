"""The range of initial scales of the kernels from which a network learns.

The scales at which a fresh seed is stable form a band around Glorot's scale. The upper edge is
searched like a ceiling, on log10 of the scale; the lower edge by the same search on the negative of
that. The width follows from the runs of both (evidence.band).
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from lr_ceiling.evidence.band import Band
from lr_ceiling.evidence.claims import easier_initialisation, in_decades
from lr_ceiling.evidence.records import Claim, Initialisation
from lr_ceiling.evidence.study import observation
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import (
    QUANTILES,
    TARGETS,
    VALUES,
    Estimate,
    Estimates,
    Measured,
)
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves, even_shares
from lr_ceiling.search.schedule import Aim, Schedule

Side = Literal["upper", "lower"]
SIGN: dict[Side, int] = {"upper": 1, "lower": -1}
# The expected range of an edge, as a factor from Glorot's scale; trials may go two decades beyond.
# Networks learn at 30 times that scale and at a tenth of it. Batch norm with sigmoid at 0.001 does
# not always learn at Glorot's scale, so an edge may lie on the other side.
LOW, HIGH = 0.1, 1e3
# Early calls were audited at Glorot's scale only (relu at 300 times that scale was called exploded
# after 200 steps and ended at 0.78), so every trial is a full run. Eight runs narrow four decades
# to a third of a decade at best, and take about two minutes on two cores.
BUDGET = 8.0
# The same as for learning rates: a factor of two from end to end.
INTERVAL = 0.3
# The non-existence of a scale with P(stable) = 0.9 is reported with the intervals' credibility.
ABSENT = 0.05


class EdgeSearch:
    """The search for one edge of an arm; `following` is its next trial, None at the end.

    A trial depends on the results of all earlier ones, so run several searches in parallel.
    """

    def __init__(self, template: RunSpec, side: Side, unscaled: Sequence[RunSummary]) -> None:
        """`unscaled` are existing runs at Glorot's scale, which cost nothing."""
        self.template = template
        self.side = side
        self.runs = list(unscaled)
        self._key = f"{template.variant}-{template.activation}-{side}"
        self._seen = {index: self._observation(run) for index, run in enumerate(unscaled)}
        known = sum(one.cost for one in self._seen.values())
        self._aim = Aim(self._key, LOW, HIGH, INTERVAL, BUDGET + known, lag=1)
        self._schedule = Schedule(self._aim)
        for one in self._seen.values():
            self._schedule.started(one.u)
        self.following = self._next()

    def take(self, run: RunSummary) -> None:
        """Record the result of the trial `following`, and choose the next one."""
        self.runs.append(run)
        self._seen[len(self._seen)] = self._observation(run)
        self.following = self._next()

    @cached_property
    def edge(self) -> Measured:
        """The edge as a scale, with equally probable values; valid at the end."""
        found = self._ceiling.estimate(TARGETS["lr90"]), self._ceiling.belief().lr90
        return found if self.side == "upper" else reciprocal(found)

    @property
    def exists(self) -> float:
        """Probability that any scale is stable with probability 0.9; valid at the end."""
        return self._ceiling.posterior.edge(TARGETS["lr90"]).exists

    @property
    def expected(self) -> Range:
        """The expected range of the edge, in log10 of the scale."""
        found = self._aim.bounds
        if self.side == "upper":
            return found
        return Range(-found.high, -found.low, -found.highest, -found.lowest)

    @cached_property
    def _ceiling(self) -> Estimates:
        return Estimates(Posterior(curves(self._aim.bounds), list(self._seen.values())))

    def _next(self) -> RunSpec | None:
        if not self._schedule.may_start(self._seen):
            return None
        u, index = self._schedule.propose(), self._schedule.index
        self._schedule.started(u)
        seed = derived_seed("initialisation", self._key, index)
        scale = 10.0 ** (SIGN[self.side] * u)
        return self.template.model_copy(update={"init_scale": scale, "seed": seed})

    def _observation(self, run: RunSummary) -> Observation:
        return of_scale(run)._replace(u=SIGN[self.side] * math.log10(run.spec.init_scale))


def of_scale(run: RunSummary) -> Observation:
    """The observation in a run, by its scale."""
    return observation(run)._replace(u=math.log10(run.spec.init_scale))


def search_all(
    searches: Sequence[EdgeSearch], run: Callable[[Sequence[RunSpec]], Sequence[RunSummary]]
) -> None:
    """Run the searches to their ends in parallel: each round has one trial of every search."""
    while under_way := {one.following: one for one in searches if one.following}:
        for result in run(list(under_way)):
            under_way[result.spec].take(result)


def band_of(upper: EdgeSearch, lower: EdgeSearch) -> Band:
    """The posterior of the band from the runs of both searches; shared runs count once."""
    runs = {run.spec: run for run in (*upper.runs, *lower.runs)}
    trials = map(of_scale, runs.values())
    return Band(trials, upper.expected, lower.expected, TARGETS["lr90"])


def existence(upper: EdgeSearch, lower: EdgeSearch, band: Band) -> float:
    """Probability that any scale is stable with probability 0.9.

    It is the lowest of the posteriors' probabilities: the band's, and each edge's. With no stable
    run among 28 it is still 0.14, since a band may lie between the tried scales.
    """
    return min(upper.exists, lower.exists, band.exists)


def width(upper: EdgeSearch, lower: EdgeSearch, band: Band) -> Measured:
    """The band's width as a factor, with equally probable values.

    It is 1, which means no width, if no scale is stable with probability 0.9. Otherwise it assumes
    that there is such a scale, like a ceiling, and has a limit if the trials bound both edges.
    """
    if existence(upper, lower, band) < ABSENT:
        return Estimate(estimate=1.0, ci95=(1.0, 1.0)), [1.0] * VALUES
    (highest, _), (lowest, _) = upper.edge, lower.edge
    low, middle, high = (float(10**end) for end in np.quantile(band.decades, QUANTILES))
    # The inner ends of the edges' intervals bound the width from below, the outer ends from above.
    bounded = None not in (highest.ci95[0], lowest.ci95[1])
    limited = None not in (highest.ci95[1], lowest.ci95[0])
    ci95 = (low if bounded else None, high if limited else None)
    if not (bounded and limited):
        return Estimate(estimate=None, ci95=ci95), []
    shares = even_shares(VALUES)
    values = 10 ** np.quantile(band.decades, shares)
    return Estimate(estimate=middle, ci95=ci95), values.tolist()


def reciprocal(found: Measured) -> Measured:
    """The reciprocal: the lower edge, from the search on negative logarithms."""
    estimate, values = found
    low, value, high = (
        end and 1 / end for end in (estimate.ci95[0], estimate.estimate, estimate.ci95[1])
    )
    return Estimate(estimate=value, ci95=(high, low)), [1 / value for value in reversed(values)]


def edge_searches(
    template: RunSpec,
    arms: Iterable[tuple[Variant, Activation]],
    results: Mapping[tuple[Variant, Activation, float], Sequence[RunSummary]],
) -> dict[tuple[Variant, Activation], list[EdgeSearch]]:
    """The searches for each arm's upper and lower edge, given its runs in `results`."""
    searches = {}
    for variant, activation in arms:
        arm = template.model_copy(update={"variant": variant, "activation": activation})
        unscaled = results.get((variant, activation, arm.learning_rate), [])
        searches[variant, activation] = [EdgeSearch(arm, side, unscaled) for side in SIGN]
    return searches


def initialisation_of(upper: EdgeSearch, lower: EdgeSearch) -> Initialisation:
    """The results of an arm's two searches: scales are factors on Glorot's, widths in decades."""
    band = band_of(upper, lower)
    return Initialisation(
        variant=upper.template.variant,
        activation=upper.template.activation,
        learning_rate=upper.template.learning_rate,
        runs=runs_of(upper, lower),
        exists=round(existence(upper, lower, band), 4),
        lower=rounded(lower.edge[0]),
        upper=rounded(upper.edge[0]),
        width_decades=in_decades(width(upper, lower, band)[0]),
    )


def initialisation_claims(
    searches: Mapping[tuple[Variant, Activation], Sequence[EdgeSearch]], rate: float
) -> list[Claim]:
    """One claim per activation that was searched with both variants."""
    found = []
    for activation in dict.fromkeys(activation for _, activation in searches):
        pairs = [
            searches[variant, activation]
            for variant in get_args(Variant)
            if (variant, activation) in searches
        ]
        if len(pairs) == len(get_args(Variant)):
            known = [(upper, lower, band_of(upper, lower)) for upper, lower in pairs]
            baseline, batchnorm = (width(*one) for one in known)
            there = [existence(*one) for one in known]
            # Below ABSENT a network is reported to have no width.
            sure = math.prod(1 - one if one < ABSENT else one for one in there)
            runs = sum(runs_of(*pair) for pair in pairs)
            found.append(easier_initialisation(activation, rate, baseline, batchnorm, runs, sure))
    return found


def runs_of(upper: EdgeSearch, lower: EdgeSearch) -> int:
    """The number of runs behind the two searches, which share the runs at Glorot's scale."""
    return len({run.spec for run in (*upper.runs, *lower.runs)})


def rounded(found: Estimate) -> Estimate:
    """An estimate to four digits: far finer than any interval."""
    low, value, high = (
        end and significant(end) for end in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return Estimate(estimate=value, ci95=(low, high))
