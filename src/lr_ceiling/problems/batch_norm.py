"""Recomputes batch norm's moving averages, so that a model's score depends on its weights alone."""

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lr_ceiling.problems.keras_data import Nested


def norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The model's batch norm layers, including nested ones and excluding frozen ones."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


@contextlib.contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """Restore all state of the model, to the bit, on leaving."""
    state = [(variable, _value(variable)) for variable in model.variables]
    try:
        yield
    finally:
        for variable, value in state:
            variable.assign(value)


def retake_averages(model: keras.Model, inputs: Iterable[Nested]) -> bool:
    """Replace the moving averages by the means of the batch statistics over these batches.

    Calls the model in training mode on each batch. Layers that the model then calls in inference
    mode, such as layers of a frozen part, keep their averages. Returns whether any average was
    replaced. The calls also advance other state, such as the seeds of dropout.
    """
    layers = norms(model)
    averages = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
    before = [_value(average) for average in averages]
    for average, value in zip(averages, before, strict=True):
        # NaN and inf times 0 would stay NaN.
        average.assign(np.nan_to_num(value, posinf=0.0, neginf=0.0))
    start = [_value(average) for average in averages]
    sums = [np.zeros(value.shape, np.float64) for value in before]
    moved = [False] * len(averages)
    batches = 0
    with _no_memory(layers):
        for x in inputs:
            _call(model, x)
            batches += 1
            for i, average in enumerate(averages):
                value = _value(average)
                moved[i] = moved[i] or not np.array_equal(value, start[i])
                sums[i] += value
    for average, total, old, has_moved in zip(averages, sums, before, moved, strict=True):
        average.assign(total / batches if has_moved else old)
    return any(moved)


@contextlib.contextmanager
def _no_memory(layers: Iterable[keras.layers.BatchNormalization]) -> Iterator[None]:
    """Inside, each call in training mode stores the mean and variance of its batch alone."""
    momenta = [(layer, layer.momentum) for layer in layers]
    for layer, _ in momenta:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum


def _value(variable: keras.Variable) -> npt.NDArray[Any]:
    # A copy: a backend may return a view, which later assignments would overwrite.
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _call(model: keras.Model, x: Nested) -> None:
    # Keras's `train_step` does the same.
    if "training" in inspect.signature(model.call).parameters:
        model(x, training=True)
    else:
        model(x)
