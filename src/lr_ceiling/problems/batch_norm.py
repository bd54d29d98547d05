"""Batch norm's moving averages, taken anew: a model is judged by its weights."""

import contextlib
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lr_ceiling.problems.keras_data import Nested


def norms(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The model's layers of batch norm, nested ones too, but those that are frozen."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


@contextlib.contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """All state of the model is, to the bit, the same afterwards."""
    state = [(variable, _value(variable)) for variable in model.variables]
    try:
        yield
    finally:
        for variable, value in state:
            variable.assign(value)


def retake_averages(model: keras.Model, inputs: Iterable[Nested]) -> bool:
    """Put in the place of the moving averages the means over these batches of what weights give.

    The model is called with each of them in training mode. A layer that is called in inference mode
    there, as in a frozen part, is left alone. Returns whether there is any other. What else such
    calls change, as seeds of dropout, they change.
    """
    layers = norms(model)
    averages = [v for layer in layers for v in (layer.moving_mean, layer.moving_variance)]
    before = [_value(average) for average in averages]
    for average, value in zip(averages, before, strict=True):
        # Not finite times 0 is not 0.
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
    """Each call in training mode leaves its own batch's mean and variance."""
    momenta = [(layer, layer.momentum) for layer in layers]
    for layer, _ in momenta:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum


def _value(variable: keras.Variable) -> npt.NDArray[Any]:
    # A copy: a backend may give a view of what an assignment overwrites.
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _call(model: keras.Model, x: Nested) -> None:
    # As Keras's `train_step` does.
    if "training" in inspect.signature(model.call).parameters:
        model(x, training=True)
    else:
        model(x)
