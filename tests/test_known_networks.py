"""A network of which it is known what batch norm does, on real MNIST, by KerasProblem.

784-100-100-100-10 with relu, SGD, batches of 60: at learning rate 1 it fails to train, and with
batch norm it trains.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from lr_ceiling import KerasProblem, Outcome
from lr_ceiling.mnist import dataset

STEPS = 200


def build(batchnorm: bool) -> Any:
    layers: list[Any] = [keras.Input((784,))]
    for _ in range(3):
        layers.append(keras.layers.Dense(100, use_bias=not batchnorm))
        layers += [keras.layers.BatchNormalization()] if batchnorm else []
        layers.append(keras.layers.Activation("relu"))
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def images(mnist_path: Path) -> tuple[Any, Any]:
    arrays = dataset.read_arrays(mnist_path)
    count = 60 * STEPS
    flat = arrays.train_images[: count + 2000].reshape(-1, 784) / np.float32(255)
    return flat, arrays.train_labels[: count + 2000].astype(np.int32)


def outcome(images: tuple[Any, Any], batchnorm: bool, learning_rate: float, seed: int) -> Outcome:
    x, y = images
    problem = KerasProblem(
        lambda: build(batchnorm), x[:-2000], y[:-2000], validation_data=(x[-2000:], y[-2000:]),
        batch_size=60, target=0.85,
    )  # fmt: skip
    return problem(learning_rate, seed)


@pytest.mark.parametrize("seed", [0, 1])
def test_at_one_it_trains_with_batch_norm_alone(seed: int, images: tuple[Any, Any]) -> None:
    without = outcome(images, batchnorm=False, learning_rate=1.0, seed=seed)
    assert (without.stable, (without.score or 0) < 0.6) == (False, True)
    assert outcome(images, batchnorm=True, learning_rate=1.0, seed=seed).stable


def test_both_train_at_a_tenth(images: tuple[Any, Any]) -> None:
    for batchnorm in (False, True):
        assert outcome(images, batchnorm, learning_rate=0.1, seed=0).stable
