"""Theory for comparison with the measured ceiling: the critical learning rate.

It is the smallest step along the optimizer's direction that raises the loss (Kalra 2026), on a
fixed batch, at initialisation and after some steps of training. It checks the order of magnitude,
and no search uses it. This module also measures the effect of biases before batch norm.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from lr_ceiling.mnist import network
from lr_ceiling.mnist.dataset import read_split, stratified_sample
from lr_ceiling.mnist.specification import Optimizer, RunSpec
from lr_ceiling.mnist.training import batches

# Number of training images on which the loss is evaluated.
IMAGES = 2000
BATCH = 32
# The start of the search, its factor upwards, and the number of bisections in log: the answer is
# within 5%.
LEAST, FACTOR, HALVINGS = 1e-6, 4.0, 5
# If no smaller step than this raises the loss, there is no critical rate.
MOST = 1e6
BETAS, EPSILON = (0.9, 0.999), 1e-7
# Standard deviation of the random biases, at least ten times that of the initial kernels.
BIAS = 1.0


def critical_rates(spec: RunSpec, splits: Path, steps: int) -> tuple[float | None, float | None]:
    """The critical learning rate at initialisation and after `steps` steps; None above 1e6."""
    train = read_split(splits, "train")
    images = tf.constant(train.images[..., np.newaxis])
    labels = tf.constant(train.labels.astype(np.int32))
    chosen = stratified_sample(train.labels, min(IMAGES, len(train.labels)))
    probe = tf.gather(images, chosen), tf.gather(labels, chosen)
    model = network.build(spec.variant, spec.activation, spec.seed)
    walk = Walk([weight.value for weight in model.trainable_variables], spec.optimizer)

    def mean_loss(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        # As in training, batch norm normalises by the batch itself.
        logits, _ = network.logits(model, images, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        return tf.reduce_mean(losses)

    loss_of = tf.function(mean_loss, reduce_retracing=True)

    def gradient(images: tf.Tensor, labels: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            loss = loss_of(images, labels)
        return list(tape.gradient(loss, walk.weights))

    def critical() -> float | None:
        direction = walk.direction(gradient(*probe))
        return smallest_rise(lambda rate: float(walk.at(rate, direction, loss_of, *probe)))

    initial = critical()
    for order in batches(spec.seed, len(train.labels), BATCH, steps):
        walk.step(spec.learning_rate, gradient(tf.gather(images, order), tf.gather(labels, order)))
    return initial, critical()


def bias_effect(spec: RunSpec, splits: Path) -> tuple[float, float] | None:
    """The effect of random biases before batch norm on one batch, in training mode.

    Returns the largest difference of a logit between networks with the same kernels with and
    without biases, and the largest gradient of a bias over the largest gradient of a kernel. In
    float64, since float32's rounding alone moves a logit by up to 2e-3: some channels vary less
    than their bias. None if no gradient reaches a kernel, or if one is NaN.
    """
    train = read_split(splits, "train")
    (order,) = batches(spec.seed, len(train.labels), BATCH, 1)
    images = tf.constant(train.images[order][..., np.newaxis] / 255)
    labels = tf.constant(train.labels[order].astype(np.int32))
    model = network.build("batchnorm", spec.activation, spec.seed)
    plain, biased = (_to_logits(model, use_bias) for use_bias in (False, True))
    rng = np.random.default_rng(spec.seed)
    layers = [layer for layer in biased.layers if hasattr(layer, "kernel")]
    for layer in layers:
        layer.bias.assign(rng.normal(0, BIAS, layer.bias.shape))
    with tf.GradientTape() as tape:
        logits = biased(images, training=True)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        loss = tf.reduce_mean(losses)
    biases, kernels = tape.gradient(
        loss, [[layer.bias.value for layer in layers], [layer.kernel.value for layer in layers]]
    )
    difference = tf.reduce_max(tf.abs(logits - plain(images, training=True)))
    reaches = _largest(kernels)
    ratio = _largest(biases) / reaches if reaches > 0 else math.nan
    return (float(difference), ratio) if math.isfinite(float(difference) + ratio) else None


def _to_logits(model: Any, use_bias: bool) -> Any:
    """A float64 copy of `model` that ends before the softmax, with or without biases."""
    config = model.get_config()
    for layer in config["layers"]:
        layer["config"]["dtype"] = "float64"
        if "use_bias" in layer["config"]:
            layer["config"]["use_bias"] = use_bias
    config["layers"][-1]["config"]["activation"] = "linear"
    copy = type(model).from_config(config)
    for layer, original in zip(copy.layers, model.layers, strict=True):
        if hasattr(layer, "kernel"):
            layer.kernel.assign(original.kernel)
    return copy


def _largest(tensors: Sequence[tf.Tensor]) -> float:
    return max(float(tf.reduce_max(tf.abs(tensor))) for tensor in tensors)


class Walk:
    """Weights, and the optimizer's averages of their gradients."""

    def __init__(self, weights: Sequence[tf.Variable], optimizer: Optimizer) -> None:
        self.weights = list(weights)
        self._optimizer = optimizer
        self._means = [tf.zeros_like(weight) for weight in weights]
        self._squares = [tf.zeros_like(weight) for weight in weights]
        self._steps = 0

    def direction(self, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The update that the next step with these gradients subtracts, at learning rate 1."""
        return self._next(gradients)[0]

    def step(self, rate: float, gradients: Sequence[tf.Tensor]) -> None:
        """Take a step."""
        direction, self._means, self._squares = self._next(gradients)
        self._steps += 1
        self._move(-rate, direction)

    def at(
        self, rate: float, direction: Sequence[tf.Tensor], loss: Callable[..., Any], *batch: object
    ) -> float:
        """The loss after a step of `rate` along `direction`; the weights are not changed."""
        kept = [tf.identity(weight) for weight in self.weights]
        self._move(-rate, direction)
        value = float(loss(*batch))
        for weight, before in zip(self.weights, kept, strict=True):
            weight.assign(before)
        return value

    def _move(self, by: float, direction: Sequence[tf.Tensor]) -> None:
        for weight, way in zip(self.weights, direction, strict=True):
            weight.assign_add(by * way)

    def _next(
        self, gradients: Sequence[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor], list[tf.Tensor]]:
        if self._optimizer == "sgd":
            return list(gradients), self._means, self._squares
        first, second = BETAS
        means = [first * m + (1 - first) * g for m, g in zip(self._means, gradients, strict=True)]
        squares = [
            second * s + (1 - second) * g * g for s, g in zip(self._squares, gradients, strict=True)
        ]
        steps = self._steps + 1
        direction = [
            (m / (1 - first**steps)) / (tf.sqrt(s / (1 - second**steps)) + EPSILON)
            for m, s in zip(means, squares, strict=True)
        ]
        return direction, means, squares


def smallest_rise(loss: Callable[[float], float]) -> float | None:
    """The smallest rate, within 5%, at which `loss(rate)` is above `loss(0)`; None above 1e6."""
    here, high = loss(0.0), LEAST
    # NaN counts as a rise.
    while loss(high) <= here:
        high *= FACTOR
        if high > MOST:
            return None
    low = high / FACTOR
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        if loss(middle) <= here:
            low = middle
        else:
            high = middle
    return float((low * high) ** 0.5)
