"""A cell of the grid: one network at one learning rate, trained once per seed."""

from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.files import read_bytes, write_bytes
from lr_ceiling.execution.runner import Ended
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import TrainingTask


class Cell:
    """Gives the missing runs of a cell as tasks, and stores their results."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        splits: Path,
        store: RunStore,
        on_ended: Callable[[Ended], None] = lambda ended: None,
    ) -> None:
        """`on_ended` is called with each finished run."""
        self._specs = specs
        self._splits = splits
        self._store = store
        self._on_ended = on_ended
        found = {spec: store.find(spec, test=True, model=True) for spec in specs}
        self._waiting = deque(spec for spec, run in found.items() if run is None)
        self._runs = {spec: run for spec, run in found.items() if run is not None}

    @property
    def key(self) -> str:
        """Identity of the cell's runs."""
        return digest_of([spec.key for spec in self._specs])

    @property
    def missing(self) -> int:
        """Number of unfinished runs."""
        return len(self._specs) - len(self._runs)

    @property
    def runs(self) -> list[RunResult]:
        """The results of all runs, in the order of their specs. No run may be missing."""
        return [self._runs[spec] for spec in self._specs]

    def next(self) -> TrainingTask | None:
        """The next run to start; None if all have started."""
        if not self._waiting:
            return None
        spec = self._waiting.popleft()
        return TrainingTask(spec, self._splits, self._store.model_path(spec), test=True)

    def take(self, ended: Ended) -> None:
        """Store a finished run."""
        run: RunResult = ended.result
        self._store.keep(run, model=True)
        self._runs[run.spec] = run
        self._on_ended(ended)


def copy_models(runs: Sequence[RunResult], store: RunStore, folder: Path) -> None:
    """Copy the trained networks of `runs` from the store into `folder`, as seed-<seed>.keras.

    Raises ResultsError.
    """
    for run in runs:
        model = read_bytes(store.model_path(run.spec))
        write_bytes(folder / f"seed-{run.spec.seed}.keras", model)
