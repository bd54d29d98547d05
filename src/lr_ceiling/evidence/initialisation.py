"""How far the initial kernels may be scaled before a network no longer learns.

The scales at which a fresh seed is stable form a band around Glorot's. Its upper edge is searched
as a ceiling is, on log10 of the scale; its lower edge by the same search on the negative of that.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from lr_ceiling.evidence.claims import easier_initialisation, in_decades
from lr_ceiling.evidence.records import Claim, Initialisation
from lr_ceiling.evidence.study import observation
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import TARGETS, VALUES, Estimate, Estimates, Measured, ratio
from lr_ceiling.search.posterior import Observation, Posterior, curves
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
        u = SIGN[self.side] * math.log10(run.spec.init_scale)
        return observation(run)._replace(u=u)


def search_all(
    searches: Sequence[EdgeSearch], run: Callable[[Sequence[RunSpec]], Sequence[RunSummary]]
) -> None:
    """Run the searches to their ends, side by side: in each round one trial of every search."""
    while under_way := {one.following: one for one in searches if one.following}:
        for result in run(list(under_way)):
            under_way[result.spec].take(result)


def width(upper: EdgeSearch, lower: EdgeSearch) -> Measured:
    """The band's width as a factor, with equally probable values of it; the edges are independent.

    It is 1, no width, where no scale is stable with probability 0.9, and not bounded where that is
    open. Else it holds where there is such a scale, as a ceiling does.
    """
    if min(upper.exists, lower.exists) < ABSENT:
        return Estimate(estimate=1.0, ci95=(1.0, 1.0)), [1.0] * VALUES
    (_, highest), (_, lowest) = upper.edge, lower.edge
    found = at_least_none(ratio(upper.edge, lower.edge))
    if not highest or not lowest:
        return found, []
    shares = (np.arange(VALUES) + 0.5) / VALUES
    factors = np.quantile(np.divide.outer(np.array(highest), np.array(lowest)), shares)
    return found, np.maximum(factors, 1).tolist()


def at_least_none(factor: Estimate) -> Estimate:
    """A width as a factor: an upper edge below the lower one leaves none, and none is 1."""
    low, high = (end and max(end, 1.0) for end in factor.ci95)
    return Estimate(estimate=factor.estimate and max(factor.estimate, 1.0), ci95=(low, high))


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
    return Initialisation(
        variant=upper.template.variant,
        activation=upper.template.activation,
        learning_rate=upper.template.learning_rate,
        runs=runs_of(upper, lower),
        exists=round(min(upper.exists, lower.exists), 4),
        lower=rounded(lower.edge[0]),
        upper=rounded(upper.edge[0]),
        width_decades=in_decades(width(upper, lower)[0]),
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
            baseline, batchnorm = (width(*pair) for pair in pairs)
            runs = sum(runs_of(*pair) for pair in pairs)
            found.append(easier_initialisation(activation, rate, baseline, batchnorm, runs))
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
