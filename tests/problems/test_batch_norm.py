"""Moving averages that are taken anew, and all that was there before."""

from typing import Any

import keras
import numpy as np
import pytest

from lr_ceiling.problems.batch_norm import kept, norms, retake_averages
from lr_ceiling.problems.keras_run import configure
from problems.networks import with_batch_norm

# Threads can be set before TensorFlow's first operation only.
configure()

X = np.random.default_rng(0).normal(3, 2, size=(60, 4)).astype(np.float32)
PARTS = [X[start : start + 20] for start in range(0, 60, 20)]


class Block(keras.layers.Layer):  # type: ignore[misc]
    """Batch norm in a list, as people write it, and one that always runs in inference mode."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = [keras.layers.Dense(4), keras.layers.BatchNormalization(name="inside")]
        self.still = keras.layers.BatchNormalization(name="still")

    def call(self, x: Any, training: bool | None = None) -> Any:
        x = self.parts[1](self.parts[0](x), training=training)
        return self.still(x, training=False)


def nested() -> Any:
    """Batch norm in a layer, in a model in a model, and frozen."""
    layers = keras.layers
    inner = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="inner")])
    frozen = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(name="frozen")])
    frozen.trainable = False
    points = keras.Input((4,))
    x = inner(layers.Dropout(0.5)(Block()(frozen(points))))
    return keras.Model(points, layers.Dense(2)(x))


def statistics(model: Any) -> dict[str, Any]:
    return {
        layer.name: (layer.moving_mean.numpy().copy(), layer.moving_variance.numpy().copy())
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    }


def test_averages_are_the_means_of_what_each_batch_gives() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.BatchNormalization()])
    (layer,) = norms(model)
    # Where a training left them; the second can't be multiplied by 0.
    layer.moving_mean.assign(np.full(4, 1e6))
    layer.moving_variance.assign([np.inf, np.nan, 1e30, 1.0])
    assert retake_averages(model, PARTS)
    means = np.mean([part.mean(0) for part in PARTS], 0)
    variances = np.mean([part.var(0) for part in PARTS], 0)
    np.testing.assert_allclose(layer.moving_mean, means, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variances, rtol=1e-5)
    assert layer.momentum == 0.99


def test_nested_layers_are_found_and_what_is_frozen_is_left_alone() -> None:
    model = nested()
    assert {layer.name for layer in norms(model)} == {"inside", "inner", "still"}
    before = statistics(model)
    assert retake_averages(model, PARTS)
    after = statistics(model)
    for name in before:
        for old, new in zip(before[name], after[name], strict=True):
            assert np.array_equal(old, new) == (name in ("frozen", "still"))


@pytest.mark.parametrize("build", [nested, with_batch_norm])
def test_all_that_changed_is_as_it_was_to_the_byte(build: Any) -> None:
    model = build()
    model(PARTS[0], training=True)
    before = [variable.numpy().tobytes() for variable in model.variables]
    with kept(model):
        retake_averages(model, PARTS)
        changed = [variable.numpy().tobytes() for variable in model.variables]
    after = [variable.numpy().tobytes() for variable in model.variables]
    assert after == before != changed


def test_it_is_as_it_was_after_an_error_too() -> None:
    model = with_batch_norm()
    before = [variable.numpy().tobytes() for variable in model.variables]

    def parts() -> Any:
        yield PARTS[0]
        raise OSError

    with pytest.raises(OSError), kept(model):  # noqa: PT011
        retake_averages(model, parts())
    assert [variable.numpy().tobytes() for variable in model.variables] == before
    assert all(layer.momentum == 0.99 for layer in norms(model))


def test_a_model_with_nothing_to_retake_says_so() -> None:
    model = nested()
    for layer in norms(model):
        layer.trainable = layer.name == "still"
    assert not retake_averages(model, PARTS)
