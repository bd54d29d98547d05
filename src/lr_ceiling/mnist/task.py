"""A training as a task for a worker process, so that only workers import TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from lr_ceiling.execution.runner import Report
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec

# The module that prepares a process for trainings, imported by `local_executor`.
PREPARED_BY = "lr_ceiling.mnist.preload"


@dataclass(frozen=True)
class TrainingTask:
    """One run to execute: its spec, its data, and the additional outputs."""

    spec: RunSpec
    splits: Path
    model: Path | None = None
    test: bool = False

    def __call__(self, report: Report) -> RunResult:
        """Train the run, and call `report` with the number of optimizer steps taken."""
        from lr_ceiling.mnist import training

        return training.fit(self.spec, self.splits, self.model, self.test, report)

    def __str__(self) -> str:
        return self.spec.name
