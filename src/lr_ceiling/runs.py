"""What a run is: its specification, what is measured of it, and the files that hold runs."""

import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from lr_ceiling.digits import short
from lr_ceiling.errors import ParamsError, ResultsError

Variant = Literal["baseline", "batchnorm"]
Activation = Literal[
    "sigmoid", "relu", "tanh", "elu", "selu", "softplus", "softsign", "gelu", "silu"
]
Optimizer = Literal["adam", "sgd"]
Label = Literal["stable", "diverged", "exploded", "dead", "lost", "slow"]
# Of ten classes. Guessing has 0.1 right, a constant predictor 0.1135 at most.
CHANCE = 0.2


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
    # Factor on the initial kernels: 1 is Glorot's scale.
    init_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    # The judge's calls that may end the run before its horizon; by others it only labels. A loss or
    # weight that is no number always ends it.
    ended_by: tuple[Label, ...] = ()
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
        return (
            f"{self.variant} {self.activation} lr={short(self.learning_rate, 4)} seed={self.seed}"
        )


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
    # The same with batch norm's averages taken anew over 10,000 training images; None where the run
    # reached its target or has none. If this reaches it, the averages lag; the weights are sound.
    reestimated_accuracy: float | None
    # Inference accuracy on the test set; None where the test set was not asked for.
    test_accuracy: float | None
    checks: tuple[Check, ...]
    curve: Curve


class Estimate(Record):
    """A learning rate with its 95% credible interval; None where the trials don't bound it."""

    estimate: float | None
    ci95: tuple[float | None, float | None]


class EarlyDecisions(Record):
    """Trials that were ended early; calls that were not followed, and how many of these erred."""

    made: int
    audited: int
    wrong: int


class Checks(Record):
    """What says how far to trust an estimate."""

    # Probability that any learning rate is stable with probability 0.5, and 0.9.
    lr50_exists: float
    lr90_exists: float
    # Posterior predictive p-value of how alike neighbouring trials miss the curve; below 0.05 it
    # fits badly, and the trials were counted half, which widens the intervals.
    fit: float
    widened: bool
    # Share of lr90's probability in the last decade at each end of what may be tried.
    edge_mass: tuple[float, float]
    # How far the estimate of lr90 moves, in decades, if all transition widths are equally probable.
    prior_shift_decades: float | None


class Study(Record):
    """What the search of an arm found."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    target: float
    horizon_steps: int
    # Identity of the study: what its trials follow from.
    key: str
    # The highest learning rates at which a fresh seed is stable with probability 0.5 and 0.9.
    lr50: Estimate
    lr90: Estimate
    transition_decades: float
    bounded: Literal["both", "above only", "below only", "none"]
    # The highest learning rate of a stable trial; None where no trial was stable.
    highest_stable: float | None
    stopped: Literal["interval", "budget"]
    trials: int
    labels: dict[Label, int]
    steps_spent: int
    full_run_equivalents: float
    early_decisions: EarlyDecisions
    checks: Checks


class Ratio(Record):
    """Batch norm's ceilings over the baseline's, of one activation."""

    activation: Activation
    lr50: Estimate
    lr90: Estimate


class AuditedRule(Record):
    """Runs that one rule of the judge would have ended, and that ran on instead."""

    rule: Label
    audited: int
    # Of these, how many became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float
    # How many in each arm.
    arms: dict[str, int]


class Audit(Record):
    """`reports/audit.json`: whether the judge's early calls are right."""

    horizon_steps: int
    rules: tuple[AuditedRule, ...]


class Belief(Record):
    """The posterior of an arm, thinned for figures and ratios.

    `probability` is the mean of P(stable) at each of `learning_rates`, `low` and `high` limit its
    pointwise 95% interval; `lr50` and `lr90` are equally probable values, in order, empty where
    the trials don't bound them from both sides.
    """

    learning_rates: tuple[float, ...]
    probability: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    lr50: tuple[float, ...]
    lr90: tuple[float, ...]


Parsed = TypeVar("Parsed")
RUNS = pydantic.TypeAdapter(tuple[RunResult, ...])
STUDY = pydantic.TypeAdapter(Study)
AUDIT = pydantic.TypeAdapter(Audit)
BELIEF = pydantic.TypeAdapter(Belief)


def write_runs(path: Path, runs: Iterable[RunResult]) -> None:
    """Write runs to `path` as JSON, in the order given; the file appears whole or not at all."""
    write_text(path, RUNS.dump_json(tuple(runs), indent=1).decode() + "\n")


def read_runs(path: Path) -> tuple[RunResult, ...]:
    """Read what `write_runs` wrote. Raises ResultsError for a missing or foreign file."""
    return _parse(RUNS, path)


def read_study(path: Path) -> Study:
    """Read a study.json. Raises ResultsError for a missing or foreign file."""
    return _parse(STUDY, path)


def read_belief(path: Path) -> Belief:
    """Read a posterior.json. Raises ResultsError for a missing or foreign file."""
    return _parse(BELIEF, path)


def read_audit(path: Path) -> Audit:
    """Read reports/audit.json. Raises ResultsError for a missing or foreign file."""
    return _parse(AUDIT, path)


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
