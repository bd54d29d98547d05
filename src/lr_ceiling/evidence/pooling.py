"""Runs of an arm pooled: its search, the fresh seeds of its verification, and the grid's cells.

For lr50 and lr90 the seeds are all fresh: those of search and verification. The grid's repeat
across learning rates and variants, so they count for the usable rate alone, where a seed's luck is
a small part of what differs between rates.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lr_ceiling.evidence.measurement import Measurement, usable_rate
from lr_ceiling.evidence.records import Pooled, RunTable, Study
from lr_ceiling.evidence.study import observation
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.version import engine_digest
from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.search.posterior import Observation, Range
from lr_ceiling.search.schedule import BEYOND


@dataclass(frozen=True)
class Pool:
    """The runs of an arm by where they come from, and what was left out.

    `fresh` are sources of fresh seeds, `search` the first of them; `repeated` are runs whose seeds
    repeat.
    """

    study: Study
    fresh: Mapping[str, Sequence[RunSummary]]
    repeated: Mapping[str, Sequence[RunSummary]]
    left_out: tuple[str, ...] = ()

    @cached_property
    def measurement(self) -> Measurement:
        """What all of them say."""
        return self._measure(self.fresh)

    def record(self) -> Pooled:
        """As the report holds it."""
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
        low, high = map(math.log10, self.study.expected)
        bounds = Range(low, high, low - BEYOND, high + BEYOND)
        seen = [observation(run) for runs in fresh.values() for run in runs]
        scored = [observation(run) for runs in self.repeated.values() for run in runs]
        return Measurement.of(
            seen, bounds, self.study.calls.tallies, self.study.usable.loss, within(scored, bounds)
        )


def within(observations: Iterable[Observation], bounds: Range) -> list[Observation]:
    """Those at learning rates that a search may try."""
    return [one for one in observations if bounds.lowest <= one.u <= bounds.highest]


def pool(
    study: Study,
    trials: Sequence[RunSummary],
    verification: Iterable[RunTable],
    cells: Iterable[RunSummary],
) -> Pool:
    """The pool of an arm; runs of another engine are left out and named."""
    fresh: dict[str, list[RunSummary]] = {"search": list(trials)}
    left_out: dict[str, int] = {}
    for table in verification:
        runs = [run for run in table.summaries() if is_of(study, run)]
        if table.engine == engine_digest():
            fresh.setdefault("verification", []).extend(runs)
        elif runs:
            left_out[table.engine] = left_out.get(table.engine, 0) + len(runs)
    return Pool(
        study=study,
        fresh={name: runs for name, runs in fresh.items() if runs},
        repeated={"grid": [run for run in cells if is_of(study, run)]},
        left_out=tuple(
            f"{count} runs of verification by engine {engine}" for engine, count in left_out.items()
        ),
    )


def is_of(study: Study, run: RunSummary) -> bool:
    """Whether a run is of the arm as it was searched, but for learning rate and seed."""
    spec = run.spec
    return (spec.variant, spec.activation, spec.init_scale) == (
        study.variant,
        study.activation,
        1.0,
    ) and (spec.optimizer, spec.horizon, spec.target_accuracy) == (
        study.optimizer,
        study.horizon_steps,
        study.target,
    )
