"""Tiny Keras networks and data, which train in a few steps."""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def blobs(count: int, seed: int = 0) -> tuple[Floats, Labels]:
    """Points (count, 4) of two classes that a line separates, and their labels (count,)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count)
    points = rng.normal(size=(count, 4)) + 2 * labels[:, np.newaxis]
    return points.astype(np.float32), labels


def line(count: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Points (count, 4), and their sums (count, 1)."""
    points = np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float32)
    return points, points.sum(axis=1, keepdims=True)


def compiled(model: Any, **others: Any) -> Any:
    """The model, compiled to classify."""
    settings = {
        "optimizer": "sgd",
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
    }
    model.compile(**settings | others)
    return model


def classifier(*layers: Any, **others: Any) -> Any:
    """A compiled network of these layers and an output layer, of points (n, 4)."""
    import keras

    output = keras.layers.Dense(2, activation="softmax")
    return compiled(keras.Sequential([keras.Input((4,)), *layers, output]), **others)


def with_batch_norm() -> Any:
    """A compiled classifier with batch norm and dropout."""
    import keras

    layers = keras.layers
    return classifier(
        layers.Dense(8), layers.BatchNormalization(), layers.ReLU(), layers.Dropout(0.2)
    )


def with_dropout() -> Any:
    """A compiled classifier with dropout."""
    import keras

    return classifier(keras.layers.Dense(8, "relu"), keras.layers.Dropout(0.2))


def regression() -> Any:
    """A compiled linear regression of points (n, 4)."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model
