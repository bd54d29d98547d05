"""What is measured of a run, and the files that hold runs."""

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
    so a spike of one step survives the thinning. Non-finite values are None.
    """

    steps: tuple[int, ...]
    loss: tuple[float | None, ...]
    loss_min: tuple[float | None, ...]
    loss_max: tuple[float | None, ...]
    accuracy: tuple[float, ...]


class Check(Record):
    """Accuracy on held-out validation images after `step` steps.

    `inference` uses batch norm's moving averages, `training` the images' own statistics (None for
    a network without batch norm, where the two are the same). `images` is how many were used:
    all of the validation split at an epoch's end, a fixed stratified sample in between.
    """

    step: int
    images: int
    inference: float
    training: float | None


class RunSummary(Record):
    """What a run showed, in figures."""

    spec: RunSpec
    label: Label
    # Which failure the judge called while the run went on, and after which step; None if none.
    called: Label | None
    called_at: int | None
    # After which step the judge called the run stable; None if it didn't.
    called_stable_at: int | None
    # Optimizer steps taken: the horizon, or fewer where the run was ended.
    steps: int
    # Trainable parameters.
    parameters: int
    # First step at which the mean batch accuracy of the last 100 steps reached 0.95.
    steps_to_95: int | None
    # Inference accuracy on the whole validation split after the last step, as saved: with the
    # moving averages that training left.
    validation_accuracy: float
    # The same with batch norm's averages taken anew over 10,000 training images; None where there
    # are none, and for a run that diverged.
    reestimated_accuracy: float | None
    # Inference accuracy on the test set; None where the test set was not asked for.
    test_accuracy: float | None

    @property
    def accuracy_by_weights(self) -> float:
        """What the run is judged by: accuracy with averages taken anew, if it has averages."""
        again = self.reestimated_accuracy
        return self.validation_accuracy if again is None else again

    @property
    def ran_whole(self) -> bool:
        """Whether the run took all steps of its horizon."""
        return self.steps == self.spec.horizon


class RunResult(RunSummary):
    """What a run showed, with its course."""

    checks: tuple[Check, ...]
    curve: Curve


RUNS = pydantic.TypeAdapter(tuple[RunResult, ...])


def write_runs(path: Path, runs: Iterable[RunResult]) -> None:
    """Write runs to `path` as JSON, in the order given; the file appears whole or not at all."""
    write_text(path, RUNS.dump_json(tuple(runs), indent=1).decode() + "\n")


def read_runs(path: Path) -> tuple[RunResult, ...]:
    """Read what `write_runs` wrote. Raises ResultsError for a missing or foreign file."""
    return _parse(RUNS, path)
