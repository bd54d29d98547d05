"""The network is the post's, and `logits` is the same function as Keras's own layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lr_ceiling.mnist import engine, network
from lr_ceiling.mnist.specification import Activation, Variant

engine.configure()

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (64, 28, 28, 1)).astype(np.uint8)


def moved(variant: Variant, activation: Activation) -> keras.Sequential:
    """A network whose every weight and moving average differs from its initial value.

    Some of batch norm's scales are negative, where a maximum would become a minimum.
    """
    model = network.build(variant, activation, seed=1)
    for weight in model.weights:
        shift = np.random.default_rng(2).normal(0, 0.05, weight.shape)
        weight.assign(weight + (np.abs(shift) if "variance" in weight.path else shift))
        if "gamma" in weight.path:
            weight.assign(weight * np.where(np.arange(weight.shape[0]) % 3, 1, -1))
    return model


def keras_logits(model: keras.Sequential, training: bool) -> tf.Tensor:
    x = tf.constant(IMAGES / np.float32(255))
    for layer in model.layers[:-1]:
        if isinstance(layer, keras.layers.BatchNormalization):
            x = layer(x, training=training)
        else:
            x = layer(x)
    return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", ["baseline", "batchnorm"])
# sigmoid and relu are monotone, so pooled first; gelu and silu are not.
@pytest.mark.parametrize("activation", ["sigmoid", "relu", "softsign", "gelu", "silu"])
def test_logits_and_gradients_equal_those_of_keras(
    variant: Variant, activation: Activation, training: bool
) -> None:
    model = moved(variant, activation)
    weights = [weight.value for weight in model.trainable_variables]
    labels = tf.constant(RNG.integers(0, 10, len(IMAGES)))

    def loss_of(logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)

    with tf.GradientTape(persistent=True) as tape:
        ours, _ = network.logits(model, tf.constant(IMAGES), training)
        our_loss = loss_of(ours)
        theirs = keras_logits(model, training)
        their_loss = loss_of(theirs)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    their_gradients = tape.gradient(their_loss, weights)
    for our, their in zip(tape.gradient(our_loss, weights), their_gradients, strict=True):
        # Where two pixels of a window are equal to rounding, each way may choose another one;
        # test_training has the tight tolerance, over many batches.
        np.testing.assert_allclose(our, their, atol=0.03 * max(1, np.abs(their).max()))


def test_statistics_are_those_that_move_keras_averages() -> None:
    model = moved("batchnorm", "relu")
    _, statistics = network.logits(model, tf.constant(IMAGES), training=True)
    before = [average.numpy() for average in model.non_trainable_variables]
    keras_logits(model, training=True)
    for old, average, value in zip(before, model.non_trainable_variables, statistics, strict=True):
        np.testing.assert_allclose(average, 0.99 * old + 0.01 * value, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_first_statistics_equal_moments_of_the_output(scale: float) -> None:
    images = tf.constant(IMAGES / np.float32(255))
    kernel = tf.constant(RNG.normal(0, scale, (3, 3, 1, 32)).astype(np.float32))
    expected = tf.nn.moments(tf.nn.conv2d(images, kernel, 1, "VALID"), [0, 1, 2])
    for ours, theirs in zip(network._first_statistics(images, kernel), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4 * scale)


def test_an_image_s_last_two_rows_and_columns_reach_no_output() -> None:
    changed = IMAGES.copy()
    changed[:, network.SEEN_PIXELS :] = 255
    changed[:, :, network.SEEN_PIXELS :] = 255
    model = network.build("baseline", "relu", seed=0)
    np.testing.assert_array_equal(model(IMAGES / np.float32(255)), model(changed / np.float32(255)))


def test_both_variants_start_from_the_same_kernels() -> None:
    baseline, batchnorm = (
        {w.path.split("/", 1)[1]: w.numpy() for w in network.build(variant, "relu", 7).weights}
        for variant in ("baseline", "batchnorm")
    )
    kernels = [path for path in baseline if path.endswith("kernel")]
    assert len(kernels) == 5
    for path in kernels:
        np.testing.assert_array_equal(baseline[path], batchnorm[path])
    assert not any(path.endswith("bias") for path in batchnorm)


def test_another_seed_gives_other_kernels() -> None:
    first, second = (network.build("baseline", "relu", seed).get_weights()[0] for seed in (0, 1))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("variant", "trainable", "layers"), [("baseline", 93_322, 13), ("batchnorm", 93_556, 18)]
)
def test_the_network_is_the_post_s(variant: Variant, trainable: int, layers: int) -> None:
    model = network.build(variant, "sigmoid", seed=0)
    assert sum(weight.numpy().size for weight in model.trainable_variables) == trainable
    assert len(model.layers) == layers
    kinds = [type(layer).__name__ for layer in model.layers[:4]]
    assert (
        kinds
        == {
            "baseline": ["Conv2D", "Activation", "MaxPooling2D", "Conv2D"],
            "batchnorm": ["Conv2D", "BatchNormalization", "Activation", "MaxPooling2D"],
        }[variant]
    )
    assert model.output_shape == (None, 10)
