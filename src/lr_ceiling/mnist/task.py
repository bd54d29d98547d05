"""A training as a task: what travels to a worker process, which alone imports TensorFlow."""

from dataclasses import dataclass
from pathlib import Path

from lr_ceiling.execution.runner import Report
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec

# Makes a process ready for trainings: what `local_executor` is to import beforehand.
PREPARED_BY = "lr_ceiling.mnist.preload"


@dataclass(frozen=True)
class TrainingTask:
    """One run to execute: its spec, its data, and what to keep of it besides the result."""

    spec: RunSpec
    splits: Path
    model: Path | None = None
    test: bool = False

    def __call__(self, report: Report) -> RunResult:
        """Train it; `report` is told how many optimizer steps have been taken."""
        from lr_ceiling.mnist import training

        return training.fit(self.spec, self.splits, self.model, self.test, report)

    def __str__(self) -> str:
        return self.spec.name
