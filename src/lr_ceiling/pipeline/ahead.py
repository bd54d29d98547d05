"""Work ahead: a stage with idle cores executes runs that later stages will need.

No output depends on it. Runs go to the run store, trials to the studies' journals, theory to its
own folder. Each is stored under its identity, which the later stage checks. LR_CEILING_AHEAD sets
the amount: `idle`, the default, uses the cores that the stage leaves idle; with `all` the first
stage that trains does everything; `off` does nothing.
"""

import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, Self

from lr_ceiling.errors import LrCeilingError, ParamsError
from lr_ceiling.evidence.cell import Cell, copy_models
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.evidence.study import journal_of, write_study
from lr_ceiling.evidence.theory_task import ArmTheory, theory_specs
from lr_ceiling.execution.driver import Driver, opened
from lr_ceiling.execution.provenance import mark_logged, write_ended, write_study_facts
from lr_ceiling.execution.runner import Ended, Report, Source, Task
from lr_ceiling.execution.scratch import Scratch
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.params import Params
from lr_ceiling.pipeline.terminal import trial_in_words
from lr_ceiling.report.schemas import AuditReport
from lr_ceiling.search.schedule import Aim

SWITCH = "LR_CEILING_AHEAD"
Mode = Literal["idle", "all", "off"]
# The same paths as in dvc.yaml; tests/test_structure.py compares them.
AUDIT = Path("reports/audit.json")
STUDIES = Path("state/search")
THEORY = Path("state/theory")


def mode() -> Mode:
    """How much is done ahead. Raises ParamsError for an unknown value."""
    said = os.environ.get(SWITCH) or "idle"
    for known in ("idle", "all", "off"):
        if said == known:
            return known
    raise ParamsError(f"{SWITCH} is {said!r}: it must be idle, all or off")


@dataclass(frozen=True)
class Ahead:
    """Work that may be done ahead. `own` sources count as the stage's own work, `spare` ones don't.

    `steps` is the maximum number of optimizer steps of the `own` sources.
    """

    own: Mapping[str, Source]
    spare: Mapping[str, Source]
    steps: int = 0


@contextlib.contextmanager
def work_ahead(
    values: Params,
    splits: Path,
    digest: str,
    store: RunStore,
    name: str,
    say: Callable[[str], None],
) -> Iterator[Ahead]:
    """Yield the work of all stages except `name`, and log its complete parts in MLflow.

    Work that can't be prepared is left to its own stage, which reports the reason.
    """
    chosen = mode()
    if chosen == "off":
        yield Ahead({}, {})
        return
    with contextlib.ExitStack() as stack:
        logger = _Logger()
        studies = {
            arm: _Study(arm, driver, aim, logger, say)
            for arm, driver, aim in _opened_studies(stack, values, splits, digest)
        }
        cells = {
            cell: _Cell(cell, Cell(specs, splits, store), store, logger)
            for cell, specs in cells_of(values, digest).items()
            if cell != name
        }
        # The logger ends before the journals are closed.
        stack.enter_context(logger)
        found: dict[str, Source] = {**studies, **cells}
        # Studies before cells: a study's trials wait for one another, and cells fill the gaps.
        sources: dict[str, Source] = {
            "theory": _InTurn(
                [Spare("theory", arm, say) for arm in _theory(values, splits, digest)]
            ),
            **{name: Spare(name, source, say) for name, source in found.items()},
        }
        if chosen == "idle":
            yield Ahead({}, sources)
            return
        horizon = values.training.epochs * values.training.steps_per_epoch
        runs = sum(study.budget_left for study in studies.values())
        runs += sum(cell.missing for cell in cells.values())
        yield Ahead(sources, {}, int(runs * horizon))


def _opened_studies(
    stack: contextlib.ExitStack, values: Params, splits: Path, digest: str
) -> Iterator[tuple[str, Driver, Aim]]:
    """The arms' studies, except those that another driver has open or that lack an audit."""
    try:
        rules = AuditReport.read(AUDIT).rules
    except LrCeilingError:
        return
    for variant, activation in product(values.grid.variants, values.grid.activations):
        arm = f"{variant}-{activation}"
        with contextlib.suppress(LrCeilingError):
            trials = trials_of(values, variant, activation, rules, splits, digest)
            opening = opened(journal_of(STUDIES, arm, trials), trials)
            yield arm, stack.enter_context(opening), trials.aim


def _theory(values: Params, splits: Path, digest: str) -> list[Source]:
    """The theory of each arm."""
    return [
        ArmTheory(
            theory_specs(values.training, variant, activation, values.train.seeds, digest),
            splits,
            THEORY,
        )
        for variant, activation in product(values.grid.variants, values.grid.activations)
    ]


def cells_of(values: Params, digest: str) -> dict[str, list[RunSpec]]:
    """The runs of each cell of the grid, by the cell's name in dvc.yaml's matrix."""
    grid = values.grid
    return {
        f"{variant}-{activation}-{rate}": RunSpec.of_each(
            values.training,
            values.train.seeds,
            variant=variant,
            activation=activation,
            learning_rate=rate,
            data_digest=digest,
        )
        for variant, activation, rate in product(
            grid.variants, grid.activations, grid.learning_rates
        )
    }


class _Logger:
    """Logs to MLflow in a thread of its own, so that no run waits for it; a context manager."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[Path], None] | None] = queue.Queue()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread:
            self._waiting.put(None)
            self._thread.join()

    def log(self, send: Callable[[Path], None]) -> None:
        """Call `send` with a temporary folder for the files that it logs."""
        self._waiting.put(send)
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all)
            self._thread.start()

    def _send_all(self) -> None:
        while (send := self._waiting.get()) is not None:
            try:
                with Scratch() as folder:
                    send(Path(folder))
            # An error in one log must not lose the others that wait.
            except Exception as error:
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                print(f"warning: {reason}; `lr-ceiling log` sends it later", file=sys.stderr)


@dataclass(frozen=True)
class _Failure:
    """The error of a task that was done ahead."""

    reason: str


@dataclass(frozen=True)
class _Attempt:
    """A task done ahead, whose errors must not end the current stage."""

    task: Task

    def __call__(self, report: Report) -> Any:
        try:
            return self.task(report)
        except Exception as error:
            return _Failure(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")

    def __str__(self) -> str:
        return str(self.task)


class Spare:
    """A source that stops at its first error and is left to its own stage, which reports it."""

    def __init__(self, name: str, source: Source, say: Callable[[str], None]) -> None:
        self._name, self._source, self._say = name, source, say
        self._failed = False

    def next(self) -> Task | None:
        """The source's next task."""
        if self._failed:
            return None
        try:
            task = self._source.next()
        except Exception as error:
            self._leave(_Failure(str(error)))
            return None
        return task and _Attempt(task)

    def take(self, ended: Ended) -> None:
        """Receive the result."""
        if isinstance(ended.result, _Failure):
            self._leave(ended.result)
        elif not self._failed:
            try:
                self._source.take(replace(ended, task=ended.task.task))
            except Exception as error:
                self._leave(_Failure(str(error)))

    def _leave(self, failure: _Failure) -> None:
        self._failed = True
        self._say(f"{self._name}, ahead: left to its own stage ({failure.reason})")


class _InTurn:
    """Sources of which only one task is in progress at a time, so that runs continue beside it."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources
        self._under_way: Source | None = None

    def next(self) -> Task | None:
        """The next task of the first source that has one."""
        if self._under_way is not None:
            return None
        for source in self._sources:
            if (task := source.next()) is not None:
                self._under_way = source
                return task
        return None

    def take(self, ended: Ended) -> None:
        """Receive a finished task."""
        assert self._under_way is not None
        self._under_way.take(ended)
        self._under_way = None


class _Cell:
    """A cell that is logged as soon as its last missing run has ended in this process."""

    def __init__(self, name: str, cell: Cell, store: RunStore, logger: _Logger) -> None:
        self._name, self._cell, self._store, self._logger = name, cell, store, logger

    @property
    def missing(self) -> int:
        """Number of unfinished runs."""
        return self._cell.missing

    def next(self) -> Task | None:
        """The next missing run."""
        return self._cell.next()

    def take(self, ended: Ended) -> None:
        """Receive a run."""
        self._cell.take(ended)
        write_ended(ended.result.spec.key, ended)
        if not self._cell.missing:
            self._logger.log(self._send)

    def _send(self, folder: Path) -> None:
        # Imported here because mlflow takes 2.4 s to import.
        from lr_ceiling import tracking

        runs = self._cell.runs
        copy_models(runs, self._store, folder)
        if tracking.mirror(lambda store: store.log_train(self._name, runs, folder)):
            mark_logged(self._cell.key)


class _Study:
    """A study that is logged as soon as it is finished, if any of its trials ran here."""

    def __init__(
        self,
        arm: str,
        driver: Driver,
        aim: Aim,
        logger: _Logger,
        say: Callable[[str], None],
    ) -> None:
        self._arm, self._driver, self._aim = arm, driver, aim
        self._logger, self._say = logger, say
        self._ran = False

    @property
    def budget_left(self) -> float:
        """The maximum number of full runs of its remaining trials."""
        runs: Iterable[RunResult] = self._driver.results.values()
        spent = sum(run.steps / run.spec.horizon for run in runs)
        return max(self._aim.most_runs - spent, 0.0)

    def next(self) -> Task | None:
        """The study's next trial."""
        task = self._driver.next()
        if self._driver.ended and self._ran:
            self._ran = False
            self._logger.log(self._send)
        return task

    def take(self, ended: Ended) -> None:
        """Receive a trial."""
        self._driver.take(ended)
        write_ended(ended.result.spec.key, ended)
        self._say(f"{self._arm}, ahead: {trial_in_words(ended.result)}")
        self._ran = True

    def _send(self, folder: Path) -> None:
        # Imported here because mlflow takes 2.4 s to import, and matplotlib 0.5 s.
        from lr_ceiling import tracking
        from lr_ceiling.report.figures import draw_study

        runs = self._driver.in_order
        output = folder / self._arm
        study = write_study(output, self._aim, runs, self._driver.parts)
        write_study_facts(self._aim.key, [run.spec.key for run in runs])
        figure = draw_study(output, folder)
        files = [output / "trials.csv", figure]
        if tracking.mirror(
            lambda store: store.log_search(self._arm, study.model_dump(), runs, files)
        ):
            mark_logged(digest_of(self._aim.key, len(runs)))
