"""Keras's `fit` on arrays in memory, with its fastest options.

It takes many steps per call (`steps_per_execution`), gathers batches by index, and switches off
tf.data's autotune, which stalls every `fit` at its end. It does not use XLA, whose convolutions are
many times slower on a CPU.
"""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from benchmarks.protocol import (
    CHUNK,
    COMPARED,
    EVALUATION_BATCH,
    Array,
    Data,
    Floats,
    Order,
    Trained,
    batches,
    initial,
    serve,
)
from lr_ceiling.mnist import network


class Times(keras.callbacks.Callback):  # type: ignore[misc]
    """When training began, when evaluation began and when the epoch ended, in seconds."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Note the time."""
        self.began = time.perf_counter()

    def on_test_begin(self, logs: Any = None) -> None:
        """Note the time."""
        self.trained = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        self.evaluated = time.perf_counter()


class Arrays:
    """Keras's own layers and its own `fit`."""

    steps_per_execution = CHUNK

    def __init__(self, splits: Path) -> None:
        data = Data.read(splits)
        self.images, self.labels = self.as_keras(data.train_images, data.train_labels)
        self.validation = self.as_keras(data.validation_images, data.validation_labels)
        self._models: dict[tuple[str, str], keras.Model] = {}

    def as_keras(self, images: Array, labels: Array) -> tuple[Floats, Floats]:
        """Images (n, 28, 28, 1) in [0, 1] and one-hot labels (n, 10), like in the post."""
        scaled: Floats = images[..., np.newaxis].astype(np.float32) / np.float32(255)
        return scaled, keras.utils.to_categorical(labels, 10)

    def prepare(self, order: Order) -> int:
        """Build and compile the model, and trace its functions."""
        model = network.build(order.variant, order.activation, seed=0)  # type: ignore[arg-type]
        model.compile(
            "adam",
            "categorical_crossentropy",
            metrics=["accuracy"],
            steps_per_execution=self.steps_per_execution,
            jit_compile=False,
        )
        self._models[order.variant, order.activation] = model
        self.train(order)
        return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)

    def train(self, order: Order) -> Trained:
        """Train the order's model from initial weights and with a new optimizer."""
        model = self._models[order.variant, order.activation]
        _reset(model, order)
        times = Times()
        history = model.fit(
            self.batches(order),
            steps_per_epoch=order.steps,
            validation_data=self.validation_data(),
            callbacks=[times],
            verbose=0,
        )
        return Trained(
            training=times.trained - times.began,
            evaluation=times.evaluated - times.trained,
            accuracy=float(history.history["val_accuracy"][-1]),
            stall=time.perf_counter() - times.evaluated,
        )

    def batches(self, order: Order) -> Any:
        """Give the training batches in a form that `fit` takes."""
        chosen = batches(order, len(self.images))
        return _without_autotune(
            tf.data.Dataset.from_tensor_slices(chosen).map(_gather(*self._tensors))
        )

    def validation_data(self) -> Any:
        """Give the validation images in a form that `fit` takes."""
        return _without_autotune(
            tf.data.Dataset.from_tensor_slices(self.validation).batch(EVALUATION_BATCH)
        )

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Give the probabilities of Keras's layers."""
        model = network.build(order.variant, order.activation, seed=0)  # type: ignore[arg-type]
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        probabilities: Floats = model(self.images[:COMPARED], training=True).numpy()
        return probabilities

    @cached_property
    def _tensors(self) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(self.images), tf.constant(self.labels)


def _reset(model: keras.Model, order: Order) -> None:
    for variable, value in zip(model.trainable_variables, initial(order), strict=True):
        variable.assign(value)
    for variable in model.non_trainable_variables:
        variable.assign((tf.ones_like if "variance" in variable.path else tf.zeros_like)(variable))
    for variable in model.optimizer.variables:
        variable.assign(tf.zeros_like(variable))
    model.optimizer.learning_rate = order.learning_rate


def _gather(images: tf.Tensor, labels: tf.Tensor) -> Callable[[tf.Tensor], Any]:
    return lambda chosen: (tf.gather(images, chosen), tf.gather(labels, chosen))


def _without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.prefetch(2).with_options(options)


if __name__ == "__main__":
    serve(Arrays)
