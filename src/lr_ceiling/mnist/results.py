"""The measurements of a run, and the files of runs."""

from collections.abc import Iterable
from pathlib import Path

import pydantic

from lr_ceiling.execution.files import write_text
from lr_ceiling.execution.record import Record, _parse
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.problems.judge import Label


class Curve(Record):
    """Per-step loss and accuracy on the training batch, thinned to bins of equal length.

    `steps` holds the last step of each bin, counted from 1. A bin keeps the extremes of the loss,
    so a spike of one step stays visible. Non-finite values are None.
    """

    steps: tuple[int, ...]
    loss: tuple[float | None, ...]
    loss_min: tuple[float | None, ...]
    loss_max: tuple[float | None, ...]
    accuracy: tuple[float, ...]


class Check(Record):
    """Accuracy on held-out validation images after `step` steps.

    `inference` uses batch norm's moving averages, `training` the images' own statistics (None for
    a network without batch norm, for which the two are the same). `images` is the number of images:
    the whole validation split at an epoch's end, a fixed stratified sample in between.
    """

    step: int
    images: int
    inference: float
    training: float | None


class RunSummary(Record):
    """The measurements of a run."""

    spec: RunSpec
    label: Label
    # The failure that the judge called during the run, and the step of the call; None if none.
    called: Label | None
    called_at: int | None
    # The step after which the judge called the run stable; None if it didn't.
    called_stable_at: int | None
    # Optimizer steps taken: the horizon, or fewer if the run was ended.
    steps: int
    # Number of trainable parameters.
    parameters: int
    # The first step at which the mean batch accuracy of the last 100 steps reached 0.95.
    steps_to_95: int | None
    # Inference accuracy on the whole validation split after the last step, as saved: with the
    # moving averages of the training.
    validation_accuracy: float
    # The same with batch norm's averages recomputed over 10,000 training images; None without batch
    # norm, and for a run that diverged.
    reestimated_accuracy: float | None
    # Inference accuracy on the test set; None if it was not requested.
    test_accuracy: float | None

    @property
    def accuracy_by_weights(self) -> float:
        """The accuracy that decides: with recomputed averages, if the network has averages."""
        again = self.reestimated_accuracy
        return self.validation_accuracy if again is None else again

    @property
    def ran_whole(self) -> bool:
        """Whether the run took all steps of its horizon."""
        return self.steps == self.spec.horizon


class RunResult(RunSummary):
    """The measurements of a run, with its curves."""

    checks: tuple[Check, ...]
    curve: Curve


RUNS = pydantic.TypeAdapter(tuple[RunResult, ...])


def write_runs(path: Path, runs: Iterable[RunResult]) -> None:
    """Write runs to `path` as JSON, in the given order; the write is atomic."""
    write_text(path, RUNS.dump_json(tuple(runs), indent=1).decode() + "\n")


def read_runs(path: Path) -> tuple[RunResult, ...]:
    """Read a file of `write_runs`. Raises ResultsError for a missing or foreign file."""
    return _parse(RUNS, path)
