"""The effect of more cores: the real schedule in virtual time. `python -m benchmarks.cores FOLDER`

FOLDER contains a project after `make repro`. A run takes the seconds that it took there. The real
driver and journal run the studies, whose trials are those of the folder.
"""

import heapq
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import count, product
from pathlib import Path

import click

from lr_ceiling.execution.driver import opened
from lr_ceiling.execution.provenance import Facts
from lr_ceiling.execution.runner import Ended, Source, Task, work
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.params import Params
from lr_ceiling.pipeline.terminal import print_table
from lr_ceiling.report.schemas import AuditReport

CORES = (1, 2, 4, 8, 16, 32)


class VirtualRunner:
    """Ends each task after the time that it really took, on a given number of cores."""

    def __init__(self, cores: int, known: Mapping[str, tuple[RunResult, float]]) -> None:
        self._cores, self._known = cores, known
        self._under_way: list[tuple[float, int, Task]] = []
        self._order = count()
        self.now = 0.0

    @property
    def free(self) -> int:
        """Idle cores."""
        return self._cores - len(self._under_way)

    @property
    def busy(self) -> bool:
        """Whether any task is running."""
        return bool(self._under_way)

    def submit(self, task: Task, group: str = "") -> None:
        """Start a task now."""
        _, seconds = self._known[task.spec.key]  # type: ignore[attr-defined]
        heapq.heappush(self._under_way, (self.now + seconds, next(self._order), task))

    def completed(self) -> Ended:
        """Advance the time to the end of the next task."""
        self.now, _, task = heapq.heappop(self._under_way)
        result, seconds = self._known[task.spec.key]  # type: ignore[attr-defined]
        return Ended(task, result, self.now - seconds, seconds)


class Runs:
    """The runs of a cell, one after the other."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = list(tasks)

    def next(self) -> Task | None:
        """The next run."""
        return self._tasks.pop(0) if self._tasks else None

    def take(self, ended: Ended) -> None:
        """Nothing is kept."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def main(folder: Path) -> None:
    """Print the time that training and search take on more and fewer cores."""
    values = params.load(folder / "params.yaml")
    known = dict(_known(folder))
    seconds = {cores: makespan(folder, values, known, cores) for cores in CORES}
    rows = [
        (str(cores), f"{taken / 60:.1f}", f"{seconds[1] / taken:.1f}")
        for cores, taken in seconds.items()
    ]
    print_table("training and search", ("cores", "minutes", "times one core"), rows)


def makespan(
    folder: Path, values: Params, known: Mapping[str, tuple[RunResult, float]], cores: int
) -> float:
    """Seconds until all runs have ended if the first stage executes all of them."""
    splits = folder / "data" / "splits.npz"
    digest = splits_digest(splits)
    audit = AuditReport.read(folder / "reports" / "audit.json").rules
    runner = VirtualRunner(cores, known)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sources: dict[str, Source] = {}
        for variant, activation in product(values.grid.variants, values.grid.activations):
            trials = trials_of(values, variant, activation, audit, splits, digest)
            journal = scratch / f"{variant}-{activation}.journal"
            driver = stack.enter_context(opened(journal, trials))
            sources[journal.stem] = driver
        cells = sorted((folder / "data" / "train").glob("*/runs.json"))
        tasks = {path.parent.name: Runs([_Done(run) for run in read_runs(path)]) for path in cells}
        # As in a pipeline: the first stage's own cell, the studies, the other cells.
        first, *others = tasks.items()
        work(runner, {first[0]: first[1], **sources, **dict(others)}, {})  # type: ignore[arg-type]
    return runner.now


class _Done:
    """A run whose result is known already."""

    def __init__(self, run: RunResult) -> None:
        self.spec = run.spec

    def __call__(self, report: object) -> None:
        raise AssertionError


def _known(folder: Path) -> Iterator[tuple[str, tuple[RunResult, float]]]:
    for results in sorted((folder / "data").glob("*/*/runs.json")):
        for run in read_runs(results):
            path = folder / "state" / "facts" / f"{run.spec.key}.json"
            facts = Facts.model_validate_json(path.read_bytes())
            yield run.spec.key, (run, facts.seconds)


if __name__ == "__main__":
    main()
