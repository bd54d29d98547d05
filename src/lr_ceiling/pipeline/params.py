"""params.yaml as typed, frozen objects. Impossible values are refused before any work starts."""

import reprlib
from itertools import chain, product
from math import inf
from pathlib import Path
from typing import Annotated, Any, Self, get_args

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    Strict,
    field_validator,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, SequenceNode

from lr_ceiling.errors import ParamsError
from lr_ceiling.mnist.dataset import ArrayName
from lr_ceiling.mnist.specification import Activation, Optimizer, Variant
from lr_ceiling.problems.judge import CHANCE

PARAMS_FILE = Path("params.yaml")
# Far beyond any use, and far from the largest float32, 3.4e38.
MAX_RATE = 1e30
# The number of MNIST's training images.
TRAIN_IMAGES = 60_000

# The file has about 100. YAML's aliases and merges can make a text that fills the memory from ten
# lines, and the YAML reader's own messages show whole values.
MAX_VALUES = 100_000

# Shortens values in messages.
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxlist, _SHOWN.maxdict = 2, 6, 6
_SHOWN.maxstring = _SHOWN.maxlong = _SHOWN.maxother = 100

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


def _learning_rate(value: object) -> float:
    # An int stays an int, since DVC names a cell by the number as written in params.yaml.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_RATE:
        raise ValueError(f"must be a number above 0 and below {MAX_RATE:g}")
    return value


LearningRate = Annotated[float, PlainValidator(_learning_rate)]


class Section(BaseModel):
    """A section of params.yaml: unknown keys, other types and impossible values are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _listed(values: tuple[object, ...]) -> tuple[object, ...]:
    if not values:
        raise ValueError("must list at least one value")
    if len(set(values)) < len(values):
        raise ValueError("must list each value once")
    return values


# YAML gives lists; the items keep the section's strictness.
_LIST = (Strict(False), AfterValidator(_listed))


class Data(Section):
    """The sources of MNIST."""

    sources: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], *_LIST]
    timeout_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    expected_digests: dict[ArrayName, Digest]

    @field_validator("expected_digests")
    @classmethod
    def _names_every_array(cls, digests: dict[str, str]) -> dict[str, str]:
        missing = sorted(set(get_args(ArrayName)) - set(digests))
        if missing:
            raise ValueError(f"must name every array; missing: {', '.join(missing)}")
        return digests


class Splits(Section):
    """The splits of MNIST's 60,000 training images; the remaining ones are trained on."""

    seed: Seed
    validation: Count
    gate: Count

    @model_validator(mode="after")
    def _leaves_images_to_train_on(self) -> Self:
        if self.validation + self.gate >= TRAIN_IMAGES:
            raise ValueError(
                f"validation + gate must leave some of the {TRAIN_IMAGES} images to train on"
            )
        return self


class Training(Section):
    """The settings that all runs share, in the grid and in the search."""

    optimizer: Optimizer
    batch_size: Count
    epochs: Count
    steps_per_epoch: Count
    # A constant predictor has an accuracy of at most 0.1135, which must not count as stable.
    target_accuracy: Annotated[float, Field(ge=CHANCE, lt=1)]


class Grid(Section):
    """The cells: variant x activation x learning rate, and the arms: variant x activation."""

    variants: Annotated[tuple[Variant, ...], *_LIST]
    activations: Annotated[tuple[Activation, ...], *_LIST]
    learning_rates: Annotated[tuple[LearningRate, ...], *_LIST]


class Train(Section):
    """The training of a cell."""

    seeds: Annotated[tuple[Seed, ...], *_LIST]


class Range(Section):
    """The range of learning rates in which an arm's ceiling is expected."""

    low: LearningRate
    high: LearningRate

    @model_validator(mode="after")
    def _low_is_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self


class Search(Section):
    """The search of an arm's highest stable learning rate."""

    seed: Seed
    lag: Annotated[int, Field(ge=1, le=64)]
    interval_decades: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    # By arm, such as baseline-relu; `default` applies to all other arms.
    budget_runs: dict[str, Annotated[float, Field(ge=1, allow_inf_nan=False)]]
    confirmations: Annotated[int, Field(ge=0)]
    range: dict[Variant, Range]

    @field_validator("budget_runs")
    @classmethod
    def _names_arms(cls, budgets: dict[str, float]) -> dict[str, float]:
        if "default" not in budgets:
            raise ValueError("must have a default")
        known = {
            f"{variant}-{activation}"
            for variant, activation in product(get_args(Variant), get_args(Activation))
        } | {"default"}
        foreign = sorted(set(budgets) - known)
        if foreign:
            raise ValueError(f"{foreign[0]} is no arm: an arm is like baseline-relu")
        return budgets

    def budget(self, arm: str) -> float:
        """Full runs that the search of `arm` may spend."""
        return self.budget_runs.get(arm, self.budget_runs["default"])


class Usable(Section):
    """The allowed loss of accuracy at the usable learning rate, and the search for this rate."""

    loss: Annotated[float, Field(gt=0, lt=1)]
    runs: Annotated[int, Field(ge=0)]


class Workers(Section):
    """The workers of the runs. No result depends on them."""

    processes: Count | None


class Promote(Section):
    """The conditions under which a new model may go live. No stage reads them."""

    # MLflow excludes only "/", ":" and "."; the name is also used in addresses and file names.
    model: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    margin: Annotated[float, Field(ge=0, lt=1)]
    floor: Annotated[float, Field(ge=CHANCE, lt=1)]


class Params(Section):
    """All of params.yaml."""

    data: Data
    splits: Splits
    grid: Grid
    training: Training
    train: Train
    search: Search
    usable: Usable
    promote: Promote
    workers: Workers

    @model_validator(mode="after")
    def _every_variant_has_a_range(self) -> Self:
        missing = sorted(set(self.grid.variants) - set(self.search.range))
        if missing:
            raise ValueError(f"search.range must have a range for {', '.join(missing)}")
        return self


def load(path: Path = PARAMS_FILE) -> Params:
    """Read params.yaml. Raises ParamsError with the key, its value and the allowed values."""
    try:
        # YAML 1.2, as in DVC: 1e-4 is a number (in YAML 1.1 it is a string).
        yaml = YAML(typ="safe", pure=True)
        text = path.read_text(encoding="utf-8")
        if _size(yaml.compose(text), {}) > MAX_VALUES:
            raise ParamsError(
                f"{path} has more than {MAX_VALUES:,} values if its aliases (*name) are written "
                "out: use fewer"
            )
        values = yaml.load(text)
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run this in the project's folder") from None
    except RecursionError:
        raise ParamsError(f"{path} is nested too deeply: write it flat") from None
    # ruamel raises ValueError for values that look like a date or number but are invalid.
    except (YAMLError, ValueError) as error:
        raise ParamsError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except OSError as error:
        raise ParamsError(f"{path} can't be read: {error.strerror}") from None
    return parse(values, path)


def _size(node: Any, known: dict[int, float]) -> float:
    """The number of nodes of a YAML tree with its aliases written out; infinite in a cycle."""
    if id(node) not in known:
        known[id(node)] = inf
        inner: Any = ()
        if isinstance(node, SequenceNode):
            inner = node.value
        elif isinstance(node, MappingNode):
            inner = chain.from_iterable(node.value)
        known[id(node)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(node)]


def parse(values: object, path: Path = PARAMS_FILE) -> Params:
    """Check the values of params.yaml. Raises ParamsError like `load`."""
    try:
        return Params.model_validate(values)
    except pydantic.ValidationError as error:
        raise ParamsError(f"{path}: {_first_fault(error)}") from None


def _first_fault(error: pydantic.ValidationError) -> str:
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    reason = fault["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    if fault["type"] == "extra_forbidden":
        known = ", ".join(_fields_at(fault["loc"][:-1]))
        return f"unknown key {place}; known there: {known}"
    if fault["type"] == "missing":
        return f"{place} is missing"
    shown = _SHOWN.repr(fault["input"])
    if fault["type"] == "tuple_type":
        reason = f"must be a list, such as [{shown}]"
    return f"{place or 'the file'} is {shown}: {reason}"


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    section: Any = Params
    for part in place:
        # The keys of a dict of sections are free, so only the type of its values is checked.
        if str(part) in section.model_fields:
            annotation = section.model_fields[str(part)].annotation
            section = get_args(annotation)[-1] if get_args(annotation) else annotation
    return list(section.model_fields)
