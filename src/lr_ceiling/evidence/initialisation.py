"""How far the initial kernels may be scaled before a network no longer learns.

The scales at which a fresh seed is stable form a band around Glorot's. Its upper edge is searched
as a ceiling is, on log10 of the scale; its lower edge by the same search on the negative of that.
How wide it is follows from the runs of both (evidence.band).
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
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves
from lr_ceiling.search.schedule import Aim, Schedule

Side = Literal["upper", "lower"]
SIGN: dict[Side, int] = {"upper": 1, "lower": -1}
# Where an edge is expected, as a factor away from Glorot's scale; trials may go two decades beyond.
# Networks learn at 30 times that scale and at a tenth of it; batch norm at 0.001 with sigmoid
# doesn't always at Glorot's own, so an edge may lie on the other side.
LOW, HIGH = 0.1, 1e3
# No early call was audited at other scales than Glorot's (relu at 300 times it was called exploded
# after 200 steps and ended at 0.78), so every trial is a full run. Eight of them halve four decades
# to a third of one at best, and take about two minutes on two cores.
BUDGET = 8.0
# As for learning rates: a factor of two from end to end.
INTERVAL = 0.3
# That there is no scale with P(stable) of 0.9 is said with the credibility of the intervals.
ABSENT = 0.05


class EdgeSearch:
    """The search of one edge of an arm; `following` is its next trial, None at the end.

    A trial follows from the results of all earlier ones: to be fast, run several searches at once.
    """

    def __init__(self, template: RunSpec, side: Side, unscaled: Sequence[RunSummary]) -> None:
        """`unscaled` are runs at Glorot's scale that are known beforehand and cost nothing."""
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
        """Take in the result of the trial `following` and choose the next one."""
        self.runs.append(run)
        self._seen[len(self._seen)] = self._observation(run)
        self.following = self._next()

    @cached_property
    def edge(self) -> Measured:
        """The edge as a scale, with equally probable values of it; to be asked at the end."""
        found = self._ceiling.estimate(TARGETS["lr90"]), self._ceiling.belief().lr90
        return found if self.side == "upper" else reciprocal(found)

    @property
    def exists(self) -> float:
        """How probable it is that any scale is stable with probability 0.9; at the end as well."""
        return self._ceiling.posterior.edge(TARGETS["lr90"]).exists

    @property
    def expected(self) -> Range:
        """Where the edge is expected, in log10 of the scale."""
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
    """What a run says of its scale."""
    return observation(run)._replace(u=math.log10(run.spec.init_scale))


def search_all(
    searches: Sequence[EdgeSearch], run: Callable[[Sequence[RunSpec]], Sequence[RunSummary]]
) -> None:
    """Run the searches to their ends, side by side: in each round one trial of every search."""
    while under_way := {one.following: one for one in searches if one.following}:
        for result in run(list(under_way)):
            under_way[result.spec].take(result)


def band_of(upper: EdgeSearch, lower: EdgeSearch) -> Band:
    """The posterior of the band by the runs of both searches; those that both know count once."""
    runs = {run.spec: run for run in (*upper.runs, *lower.runs)}
    trials = map(of_scale, runs.values())
    return Band(trials, upper.expected, lower.expected, TARGETS["lr90"])


def existence(upper: EdgeSearch, lower: EdgeSearch, band: Band) -> float:
    """How probable it is that any scale is stable with probability 0.9.

    It is that of the posterior that doubts most: the band's, or an edge's own. With no stable run
    among 28 it is still 0.14, since a band may lie between the scales that were tried.
    """
    return min(upper.exists, lower.exists, band.exists)


def width(upper: EdgeSearch, lower: EdgeSearch, band: Band) -> Measured:
    """The band's width as a factor, with equally probable values of it.

    It is 1, no width, where no scale is stable with probability 0.9. Else it holds where there is
    such a scale, as a ceiling does, and has the limits for which the trials bound both edges.
    """
    if existence(upper, lower, band) < ABSENT:
        return Estimate(estimate=1.0, ci95=(1.0, 1.0)), [1.0] * VALUES
    (highest, _), (lowest, _) = upper.edge, lower.edge
    low, middle, high = (float(10**end) for end in np.quantile(band.decades, QUANTILES))
    # The inner ends of the two edges' intervals bound the width from below, the outer from above.
    bounded = None not in (highest.ci95[0], lowest.ci95[1])
    limited = None not in (highest.ci95[1], lowest.ci95[0])
    ci95 = (low if bounded else None, high if limited else None)
    if not (bounded and limited):
        return Estimate(estimate=None, ci95=ci95), []
    shares = (np.arange(VALUES) + 0.5) / VALUES
    values = 10 ** np.quantile(band.decades, shares)
    return Estimate(estimate=middle, ci95=ci95), values.tolist()


def reciprocal(found: Measured) -> Measured:
    """One over what was measured: the lower edge, of the search among negative logarithms."""
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
    """The searches of each arm's upper and lower edge, which know its runs in `results`."""
    searches = {}
    for variant, activation in arms:
        arm = template.model_copy(update={"variant": variant, "activation": activation})
        unscaled = results.get((variant, activation, arm.learning_rate), [])
        searches[variant, activation] = [EdgeSearch(arm, side, unscaled) for side in SIGN]
    return searches


def initialisation_of(upper: EdgeSearch, lower: EdgeSearch) -> Initialisation:
    """What the two searches of an arm found: scales are factors on Glorot's, widths in decades."""
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
    """The claim of each activation that was searched with both variants."""
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
            # Below ABSENT a network is told to have no width.
            sure = math.prod(1 - one if one < ABSENT else one for one in there)
            runs = sum(runs_of(*pair) for pair in pairs)
            found.append(easier_initialisation(activation, rate, baseline, batchnorm, runs, sure))
    return found


def runs_of(upper: EdgeSearch, lower: EdgeSearch) -> int:
    """How many runs the two searches rest on; both know those at Glorot's scale."""
    return len({run.spec for run in (*upper.runs, *lower.runs)})


def rounded(found: Estimate) -> Estimate:
    """An estimate to four digits: far finer than any interval."""
    low, value, high = (
        end and significant(end) for end in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return Estimate(estimate=value, ci95=(low, high))
