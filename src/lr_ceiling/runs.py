"""What a run is: its specification, what is measured of it, and the files that hold runs."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from lr_ceiling.errors import ParamsError, ResultsError

Variant = Literal["baseline", "batchnorm"]
Activation = Literal[
    "sigmoid", "relu", "tanh", "elu", "selu", "softplus", "softsign", "gelu", "silu"
]
Optimizer = Literal["adam", "sgd"]
Label = Literal["stable", "diverged", "exploded", "dead", "lost", "slow"]


class Record(BaseModel):
    """A frozen, strictly typed record that is written as JSON; non-finite numbers become null."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class RunSpec(Record):
    """Everything that decides how a run goes. Two runs of equal specs have equal results."""

    variant: Variant
    activation: Activation
    learning_rate: float = Field(gt=0, allow_inf_nan=False)
    seed: int = Field(ge=0, lt=2**32)
    optimizer: Optimizer
    batch_size: int = Field(gt=0)
    epochs: int = Field(gt=0)
    steps_per_epoch: int = Field(gt=0)
    target_accuracy: float = Field(gt=0, lt=1)
    # Whether the judge may end the run once it is hopeless (search) or only watches (train).
    early_stop: bool
    # SHA-256 of the splits' arrays: the same spec on other data is another run.
    data_digest: str

    @classmethod
    def of(cls, common: BaseModel, **particular: object) -> "RunSpec":
        """Make the spec from params.yaml's `training` section and what is this run's own.

        Raises ParamsError for a value that no run can have.
        """
        try:
            return cls.model_validate({**common.model_dump(), **particular})
        except pydantic.ValidationError as error:
            fault = error.errors()[0]
            raise ParamsError(f"{fault['loc'][0]} is {fault['input']!r}: {fault['msg']}") from None

    @property
    def horizon(self) -> int:
        """Optimizer steps that the run may take."""
        return self.epochs * self.steps_per_epoch

    @property
    def key(self) -> str:
        """Identity of the run."""
        return digest_of(self.model_dump())

    @property
    def name(self) -> str:
        """What people call the run, such as `batchnorm sigmoid lr=0.01 seed=0`."""
        return f"{self.variant} {self.activation} lr={self.learning_rate:.4g} seed={self.seed}"


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


class RunResult(Record):
    """What a run showed."""

    spec: RunSpec
    label: Label
    # What the judge called while the run went on, and after which step; None if it never did.
    called: Label | None
    called_at: int | None
    # Optimizer steps taken: the horizon, or fewer where the run was ended.
    steps: int
    # Trainable parameters.
    parameters: int
    # First step at which the mean batch accuracy of the last 100 steps reached 0.95.
    steps_to_95: int | None
    # Inference accuracy on the whole validation split after the last step.
    validation_accuracy: float
    # Inference accuracy on the test set; None where the test set was not asked for.
    test_accuracy: float | None
    checks: tuple[Check, ...]
    curve: Curve


class Study(Record):
    """What the search of an arm found."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    target: float
    horizon_steps: int
    # Identity of the study: what its trials follow from.
    key: str
    # The highest learning rate of a stable trial; None where no trial was stable.
    highest_stable: float | None
    stopped: Literal["budget"]
    trials: int
    labels: dict[Label, int]
    # Trials that the judge called a failure before their horizon.
    called_early: int
    steps_spent: int
    full_run_equivalents: float


Parsed = TypeVar("Parsed")
RUNS = pydantic.TypeAdapter(tuple[RunResult, ...])
STUDY = pydantic.TypeAdapter(Study)


def write_runs(path: Path, runs: Iterable[RunResult]) -> None:
    """Write runs to `path` as JSON, in the order given; the file appears whole or not at all."""
    write_text(path, RUNS.dump_json(tuple(runs), indent=1).decode() + "\n")


def read_runs(path: Path) -> tuple[RunResult, ...]:
    """Read what `write_runs` wrote. Raises ResultsError for a missing or foreign file."""
    return _parse(RUNS, path)


def read_study(path: Path) -> Study:
    """Read a study.json. Raises ResultsError for a missing or foreign file."""
    return _parse(STUDY, path)


def _parse(adapter: pydantic.TypeAdapter[Parsed], path: Path) -> Parsed:
    try:
        return adapter.validate_json(_read(path))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ResultsError(
            f"{path} is not of this version ({where}: {first['msg']}): "
            "remove it and run `dvc repro`"
        ) from None


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote. Raises ResultsError for a missing or damaged file."""
    try:
        return json.loads(_read(path))
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON ({error}): remove it and run `dvc repro`") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as readable, byte-stable JSON. Raises ValueError for NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole or not at all, making its folder. Raises ResultsError."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        # What is left of it, if anything can be removed there.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ResultsError(f"{path} can't be written: {error.strerror or error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: run `dvc repro` to make it") from None
    except OSError as error:
        raise ResultsError(f"{path} can't be read: {error.strerror or error}") from None


def digest_of(*parts: object) -> str:
    """Identity of `parts`: 16 hex digits of the SHA-256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derived_seed(*parts: object) -> int:
    """A seed in [0, 2**32) that follows from `parts` alone, on any machine."""
    return int(digest_of(*parts)[:8], 16)
