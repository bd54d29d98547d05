"""Many runs that can be stopped at any time: each is stored when it ends, and never repeated."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lr_ceiling.evidence.records import RunTable
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.results import RunResult, RunSummary
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.mnist.version import run_digest


class RunSource:
    """Gives the results of specs, from earlier reports, from the store, or from new runs.

    `spared` counts the steps of requested runs that were not run again.
    """

    def __init__(
        self,
        splits: Path,
        store: RunStore,
        runner: Runner,
        tables: Iterable[RunTable] = (),
        elsewhere: Iterable[RunSummary] = (),
        on_ended: Callable[[RunResult], None] = lambda run: None,
    ) -> None:
        """`tables` are from an earlier report; runs `elsewhere` are in no report.

        `on_ended` is called with each new run.
        """
        self.spared = 0
        # Runs of another engine or kind of processor are not used here, but kept.
        self._foreign = [table for table in tables if table.identity != run_digest()]
        own = [table for table in tables if table.identity == run_digest()]
        self._runs = {run.spec: run for table in own for run in table.summaries()}
        self._elsewhere = {run.spec: run for run in elsewhere}
        self._splits, self._store, self._runner = splits, store, runner
        self._on_ended = on_ended
        self._asked: set[RunSpec] = set()

    @property
    def tables(self) -> tuple[RunTable, ...]:
        """All runs for a report: those of the earlier tables, and the requested ones."""
        own = [RunTable.of(self._runs.values())] if self._runs else []
        return (*self._foreign, *own)

    def of(self, specs: Sequence[RunSpec], test: bool = False) -> list[RunSummary]:
        """The results of `specs`, in their order; with `test` they have the test accuracy."""
        missing = []
        for spec in dict.fromkeys(specs):
            if found := self._find(spec, test):
                self._runs[spec] = found
                self.spared += 0 if spec in self._asked else spec.horizon
            else:
                missing.append(spec)
            self._asked.add(spec)
        for spec in missing:
            self._runner.submit(TrainingTask(spec, self._splits, test=test))
        for _ in missing:
            run: RunResult = self._runner.completed().result
            self._store.keep(run)
            self._runs[run.spec] = run
            self._on_ended(run)
        return [self._runs[spec] for spec in specs]

    def of_all(
        self, groups: Sequence[Sequence[RunSpec]], test: bool = False
    ) -> list[list[RunSummary]]:
        """The results of each group; all groups run in parallel."""
        self.of([spec for specs in groups for spec in specs], test)
        return [self.of(specs, test) for specs in groups]

    def _find(self, spec: RunSpec, test: bool) -> RunSummary | None:
        for known in (self._runs.get(spec), self._elsewhere.get(spec)):
            if known and (known.test_accuracy is not None or not test):
                return known
        return self._store.find(spec, test)
