"""The specification of a run of the post's network: everything that affects its result."""

from collections.abc import Iterable
from typing import Literal

import pydantic
from pydantic import BaseModel, Field

from lr_ceiling.errors import ParamsError
from lr_ceiling.execution.record import Record
from lr_ceiling.identity import digest_of
from lr_ceiling.problems.judge import Label
from lr_ceiling.rounding import short

Variant = Literal["baseline", "batchnorm"]

Activation = Literal[
    "sigmoid", "relu", "tanh", "elu", "selu", "softplus", "softsign", "gelu", "silu"
]

Optimizer = Literal["adam", "sgd"]


class RunSpec(Record):
    """Everything that affects a run's result. Two runs with equal specs have equal results."""

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
    # The judge's calls that may end the run before its horizon; other calls only set its label. A
    # loss or weight that is not finite always ends it.
    ended_by: tuple[Label, ...] = ()
    # SHA-256 of the splits' arrays: the same spec on other data is another run.
    data_digest: str

    @classmethod
    def of(cls, common: BaseModel, **particular: object) -> "RunSpec":
        """Make the spec from params.yaml's `training` section and this run's own settings.

        Raises ParamsError for an impossible value.
        """
        try:
            return cls.model_validate({**common.model_dump(), **particular})
        except pydantic.ValidationError as error:
            fault = error.errors()[0]
            raise ParamsError(f"{fault['loc'][0]} is {fault['input']!r}: {fault['msg']}") from None

    @classmethod
    def of_each(
        cls, common: BaseModel, seeds: Iterable[int], **particular: object
    ) -> "list[RunSpec]":
        """One spec per seed, made like by `of`. Raises ParamsError like `of`."""
        return [cls.of(common, seed=seed, **particular) for seed in seeds]

    @property
    def horizon(self) -> int:
        """The number of optimizer steps in a full run."""
        return self.epochs * self.steps_per_epoch

    @property
    def key(self) -> str:
        """Identity of the run."""
        return digest_of(self.model_dump())

    @property
    def name(self) -> str:
        """The displayed name of the run, such as `batchnorm sigmoid lr=0.01 seed=0`."""
        return (
            f"{self.variant} {self.activation} lr={short(self.learning_rate, 4)} seed={self.seed}"
        )
