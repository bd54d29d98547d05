"""The protocol between a benchmark and the processes that it times: JSON, one line per message.

A process imports its library, prints `{"ready": true}`, and then answers each order until its input
ends. This module needs NumPy alone, because the alternatives' environment has no lr_ceiling.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

# Steps that one call of a compiling library takes: a divisor of the post's epoch of 1,875.
CHUNK = 75
# Images at a time in the evaluation of the alternatives that leave it to the caller.
EVALUATION_BATCH = 500
BATCH = 32
# Keras's defaults, which the alternatives take over: of Adam, and of batch norm.
EPSILON, BETAS = 1e-7, (0.9, 0.999)
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.99
# Images whose probabilities are compared.
COMPARED = 32

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Order:
    """An order to a process, for the network of `variant` and `activation`.

    `prepare` builds, compiles and warms up; `train` takes `steps` steps, a multiple of CHUNK, from
    new weights, then evaluates on the validation images; `probabilities`, for comparison, gives
    those of the first COMPARED images in training mode, with the weights in the file `weights`.
    """

    action: Literal["prepare", "train", "probabilities"]
    variant: str
    activation: str
    learning_rate: float = 0.001
    seed: int = 0
    steps: int = CHUNK
    weights: str = ""


@dataclass(frozen=True)
class Trained:
    """Seconds of training, of evaluation, and of a stall after both; the validation accuracy."""

    training: float
    evaluation: float
    accuracy: float
    stall: float = 0.0


@dataclass(frozen=True)
class Data:
    """Images (n, 28, 28) and labels (n,), uint8; all validation images of the file."""

    train_images: Array
    train_labels: Array
    validation_images: Array
    validation_labels: Array

    @classmethod
    def read(cls, splits: Path) -> "Data":
        """Read a splits file of this project."""
        with np.load(splits) as file:
            return cls(**{name: file[name] for name in cls.__dataclass_fields__})


class Trainer(Protocol):
    """One way of training the network."""

    def prepare(self, order: Order) -> int:
        """Build, compile and warm up. Gives the number of trainable parameters."""

    def train(self, order: Order) -> Trained:
        """Train and evaluate as ordered."""

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Probabilities (COMPARED, 10) with `weights`, in Keras's order and layout."""


def batches(order: Order, images: int) -> NDArray[np.int64]:
    """Indices (steps, BATCH) of the images of each step; no image occurs twice in a pass."""
    generator = np.random.default_rng(order.seed)
    passes = -(-order.steps * BATCH // images)
    drawn = np.concatenate([generator.permutation(images) for _ in range(passes)])
    return drawn[: order.steps * BATCH].reshape(order.steps, BATCH)


def glorot(shape: tuple[int, ...], generator: np.random.Generator) -> Floats:
    """A kernel (..., inputs, outputs), drawn like Keras's default."""
    field = int(np.prod(shape[:-2]))
    limit = float(np.sqrt(6 / (field * (shape[-2] + shape[-1]))))
    return generator.uniform(-limit, limit, shape).astype(np.float32)


# Kernels of the network, in Keras's layout.
KERNELS = ((3, 3, 1, 32), (3, 3, 32, 64), (3, 3, 64, 64), (576, 64), (64, 10))


def initial(order: Order) -> list[Floats]:
    """Initial weights in Keras's order: each layer's kernel, then its bias or batch norm's two."""
    generator = np.random.default_rng(order.seed)
    weights = []
    for shape in KERNELS:
        weights.append(glorot(shape, generator))
        if order.variant == "batchnorm":
            weights.append(np.ones(shape[-1], np.float32))
        weights.append(np.zeros(shape[-1], np.float32))
    return weights


def serve(make: Callable[[Path], Trainer]) -> None:
    """Answer orders with the trainer that `make` gives for the command line's splits file."""
    # Libraries print what they like; the answers' way is kept apart.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    trainer = make(Path(sys.argv[1]))
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(trainer, Order(**json.loads(line)))), file=answers)


def _answer(trainer: Trainer, order: Order) -> dict[str, Any]:
    if order.action == "prepare":
        return {"parameters": trainer.prepare(order)}
    if order.action == "train":
        return asdict(trainer.train(order))
    with np.load(order.weights) as file:
        weights = [file[name] for name in file.files]
    return {"probabilities": trainer.probabilities(order, weights).tolist()}
