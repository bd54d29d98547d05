"""The post's network, with and without batch normalisation, in Keras's layers.

`build` makes the model; a saved model loads in plain Keras without this package. `logits` is the
same function of the same variables in fewer and cheaper operations; docs/engine.md has the effect
of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from lr_ceiling.mnist.specification import Activation, Variant

IMAGE_SHAPE = (28, 28, 1)
CLASSES = 10

# Only for these max(f(x)) = f(max(x)), so they may follow the pooling, on a quarter of the values.
MONOTONE = {"relu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign"}
# The second pooling drops the last row and column of 11, so the output depends only on the first 26
# rows and columns of an image. Without the others the convolutions cost 17% less.
SEEN_PIXELS = 26
# The first layer's output is also 26x26.
FIRST_KERNEL, FIRST_OUTPUT = 3, 26


def build(
    variant: Variant, activation: Activation, seed: int, init_scale: float = 1.0
) -> keras.Sequential:
    """The post's network: images (n, 28, 28, 1) in [0, 1] to probabilities (n, 10).

    With `baseline` each Conv and Dense layer has a bias. With `batchnorm` each of them, including
    the output layer, has no bias, and a BatchNormalization before its activation. The kernels,
    Glorot uniform times `init_scale`, depend on the seed alone, so both variants start from the
    same kernels.
    """
    seeds = iter(np.random.SeedSequence(seed).generate_state(5).tolist())

    def block(
        kind: type[keras.Layer], name: str, activation: str, **shape: int
    ) -> list[keras.Layer]:
        weights = kind(
            **shape,
            use_bias=variant == "baseline",
            # With a scale of 1 this is Glorot's initializer.
            kernel_initializer=keras.initializers.VarianceScaling(
                scale=init_scale**2, mode="fan_avg", distribution="uniform", seed=next(seeds)
            ),
            name=name,
        )
        norm = [keras.layers.BatchNormalization(name=f"{name}_norm")]
        activate = keras.layers.Activation(activation, name=f"{name}_{activation}")
        return [weights, *(norm if variant == "batchnorm" else []), activate]

    conv, dense = keras.layers.Conv2D, keras.layers.Dense
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, name="image"),
            *block(conv, "conv1", activation, filters=32, kernel_size=FIRST_KERNEL),
            keras.layers.MaxPooling2D(2, name="pool1"),
            *block(conv, "conv2", activation, filters=64, kernel_size=3),
            keras.layers.MaxPooling2D(2, name="pool2"),
            *block(conv, "conv3", activation, filters=64, kernel_size=3),
            keras.layers.Flatten(name="flatten"),
            *block(dense, "dense", activation, units=64),
            *block(dense, "output", "softmax", units=CLASSES),
        ],
        name=f"{variant}_{activation}",
    )


def logits(
    model: keras.Sequential, images: tf.Tensor, training: bool
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The softmax inputs (n, 10) of a `model` of `build`, for images (n, 28, 28, 1) in uint8.

    They equal the model's own up to rounding. Also returns the batch's mean and variance of each
    normalised layer, in the order of `model.non_trainable_variables`; none in inference mode or
    without batch norm. The moving averages are not changed.
    """
    blocks = list(_blocks(model))
    own_statistics = training and blocks[0].norm is not None
    # The batch's statistics are over all pixels.
    seen = images if own_statistics else images[:, :SEEN_PIXELS, :SEEN_PIXELS]
    x = tf.cast(seen, tf.float32) / 255
    statistics: list[tf.Tensor] = []
    for block in blocks:
        kernel, bias = block.kernel, block.bias
        if own_statistics and block is blocks[0]:
            statistics += _first_statistics(x, kernel)
            kernel, bias = block.folded(*statistics)
        elif block.norm is not None and not training:
            kernel, bias = block.folded(block.norm.moving_mean, block.norm.moving_variance)
        x = _product(x, kernel)
        if bias is None:
            x, *moments = _normalised(x, block.norm)
            statistics += moments
        x = block.finish(x, bias)
    return x, statistics


@dataclass(frozen=True)
class _Block:
    """A Conv or Dense layer and the layers up to the next one; missing ones are None."""

    layer: keras.Layer
    norm: Any
    activation: Any
    pool: Any

    @property
    def kernel(self) -> tf.Variable:
        return self.layer.kernel.value

    @property
    def bias(self) -> tf.Variable | None:
        return self.layer.bias.value if self.layer.use_bias else None

    def folded(self, mean: Any, variance: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Kernel and bias equivalent to the kernel followed by normalisation with these moments."""
        scale = self.norm.gamma.value * tf.math.rsqrt(variance + self.norm.epsilon)
        return self.kernel * scale, self.norm.beta.value - mean * scale

    def finish(self, x: tf.Tensor, bias: tf.Tensor | None) -> tf.Tensor:
        """Bias, activation and pooling, in the cheapest equivalent order."""
        activation = self.activation.activation
        pool_first = self.activation.activation.__name__ in MONOTONE
        if self.pool and pool_first:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        if bias is not None:
            x = tf.nn.bias_add(x, bias)
        # The loss includes the softmax.
        if activation.__name__ != "softmax":
            x = activation(x)
        if self.pool and not pool_first:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        return x


def _blocks(model: keras.Sequential) -> Iterator[_Block]:
    starts = [i for i, layer in enumerate(model.layers) if hasattr(layer, "kernel")]
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        layer, *rest = model.layers[start:end]

        def first(kind: type[keras.Layer], rest: list[keras.Layer] = rest) -> Any:
            return next((layer for layer in rest if isinstance(layer, kind)), None)

        yield _Block(
            layer,
            first(keras.layers.BatchNormalization),
            first(keras.layers.Activation),
            first(keras.layers.MaxPooling2D),
        )


def _product(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    if len(kernel.shape) == 4:
        return tf.nn.conv2d(x, kernel, 1, "VALID")
    return tf.matmul(tf.reshape(x, [-1, kernel.shape[0]]), kernel)


def _first_statistics(images: tf.Tensor, kernel: tf.Tensor) -> list[tf.Tensor]:
    """Mean and variance (32,) of each channel of `kernel`'s output for images (n, 28, 28, 1).

    The output is linear in the nine pixels under the kernel, so both, and the gradient through
    them, follow from these pixels' mean and covariance. This avoids a pass over the output, the
    network's largest tensor, whose normalisation would be most of the cost of batch norm.
    """
    side = range(FIRST_KERNEL)
    shifted = [images[:, i : i + FIRST_OUTPUT, j : j + FIRST_OUTPUT] for i in side for j in side]
    pixels = tf.stack([tf.reshape(pixel, [-1]) for pixel in shifted])
    mean = tf.reduce_mean(pixels, 1, keepdims=True)
    count = tf.cast(tf.shape(pixels)[1], tf.float32)
    covariance = tf.matmul(pixels, pixels, transpose_b=True) / count - mean * tf.transpose(mean)
    flat = tf.reshape(kernel, [len(shifted), -1])
    variance = tf.reduce_sum(flat * tf.matmul(covariance, flat), 0)
    # For a nearly constant channel, rounding may give a variance below 0.
    return [tf.reduce_sum(mean * flat, 0), tf.maximum(variance, 0.0)]


def _normalised(
    x: tf.Tensor, norm: keras.layers.BatchNormalization
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """x normalised by its own moments, and the moments. TensorFlow's fused kernel needs rank 4."""
    images = x if len(x.shape) == 4 else x[:, tf.newaxis, tf.newaxis]
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=images,
        scale=norm.gamma.value,
        offset=norm.beta.value,
        mean=[],
        variance=[],
        epsilon=norm.epsilon,
    )
    # The kernel returns the sample variance (n - 1), but Keras stores the population's (n).
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return tf.reshape(y, tf.shape(x)), mean, variance * ((count - 1) / count)
