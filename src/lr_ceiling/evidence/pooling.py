"""Runs of an arm pooled: its search, the fresh seeds of its verification, and the grid's cells.

lr50 and lr90 use only fresh seeds, from search and verification. The grid's seeds repeat across
learning rates and variants, so they count only for the usable rate, for which the differences
between seeds are small. The usable rate uses the scores of search and grid, but not those of
verification: with twenty seeds each at a few rates the interval is narrower and covers 78% of
simulated networks instead of 94% (n = 40 each of `knee`, `slope` and `slow-decline`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.measurement import Measurement, surest_of, usable_rate
from lr_ceiling.evidence.records import Pooled, RunTable, Study
from lr_ceiling.evidence.study import observation
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.version import engine_digest, run_digest
from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.search.posterior import Observation, Range
from lr_ceiling.search.schedule import range_around


@dataclass(frozen=True)
class Pool:
    """The runs of an arm by their source, and the excluded runs.

    `fresh` are the sources of fresh seeds, the first of which is `search`; `repeated` are runs
    whose seeds repeat.
    """

    study: Study
    fresh: Mapping[str, Sequence[RunSummary]]
    repeated: Mapping[str, Sequence[RunSummary]]
    left_out: tuple[str, ...] = ()

    @cached_property
    def measurement(self) -> Measurement:
        """The measurement from all of them."""
        return self._measure(self.fresh)

    def record(self) -> Pooled:
        """The report's record of this pool."""
        found = self.measurement
        runs = {name: len(those) for name, those in (*self.fresh.items(), *self.repeated.items())}
        seeds = [run for those in self.fresh.values() for run in those]
        return Pooled(
            lr50=found.estimates.estimate(TARGETS["lr50"]),
            lr90=found.estimates.estimate(TARGETS["lr90"]),
            exists=found.exists,
            usable=usable_rate(found.usable),
            runs={name: count for name, count in runs.items() if count},
            seeds=len(seeds),
            stable=sum(run.label == "stable" for run in seeds),
            fit=round(found.estimates.fit, 4),
            widened=found.estimates.widened,
            surest=surest_of(found.estimates),
            without={
                name: self._without(name).estimates.estimate(TARGETS["lr90"])
                for name in self.fresh
                if len(self.fresh) > 1
            },
            left_out=self.left_out,
        )

    def _without(self, name: str) -> Measurement:
        return self._measure({other: runs for other, runs in self.fresh.items() if other != name})

    def _measure(self, fresh: Mapping[str, Sequence[RunSummary]]) -> Measurement:
        bounds = range_around(*self.study.expected)
        seen = [observation(run) for runs in fresh.values() for run in runs]
        runs = chain(self.fresh["search"], *self.repeated.values())
        scored = within(map(observation, runs), bounds)
        return Measurement.of(
            seen, bounds, self.study.calls.tallies, self.study.usable.loss, scored
        )


def within(observations: Iterable[Observation], bounds: Range) -> list[Observation]:
    """The observations at learning rates within the limits of a search."""
    return [one for one in observations if bounds.lowest <= one.u <= bounds.highest]


def pool(
    study: Study,
    trials: Sequence[RunSummary],
    verification: Iterable[RunTable],
    cells: Iterable[RunSummary],
) -> Pool:
    """The pool of an arm. Runs that can't be pooled with its trials are excluded and named."""
    arm = trials[0].spec
    fresh: dict[str, list[RunSummary]] = {"search": list(trials)}
    left_out: Counter[str] = Counter()
    for table in verification:
        for run in table.summaries():
            if arm_of(run.spec) != arm_of(arm):
                continue
            if reason := _differs(run, table, study, arm):
                left_out[reason] += 1
            else:
                fresh.setdefault("verification", []).append(run)
    return Pool(
        study=study,
        fresh=fresh,
        repeated={"grid": [run for run in cells if _is_alike(run.spec, arm)]},
        left_out=tuple(
            f"{count} runs of verification {reason}" for reason, count in sorted(left_out.items())
        ),
    )


def arm_of(spec: RunSpec) -> tuple[str, str, float]:
    """The properties of a run that identify its arm, under any other conditions."""
    return spec.variant, spec.activation, spec.init_scale


def _is_alike(spec: RunSpec, arm: RunSpec) -> bool:
    return arm_of(spec) == arm_of(arm) and conditions_of(spec) == conditions_of(arm)


def _differs(run: RunSummary, table: RunTable, study: Study, arm: RunSpec) -> str | None:
    """Why a run of the arm can't be pooled with its trials; None if it can."""
    if table.engine != engine_digest():
        return f"by engine {table.engine}"
    if table.identity != run_digest():
        return f"on another kind of processor ({table.processor})"
    if not _is_alike(run.spec, arm):
        return "of other data, steps, optimizer or target"
    bounds = range_around(*study.expected)
    if not within([observation(run)], bounds):
        return "at learning rates that may not be tried"
    return None
