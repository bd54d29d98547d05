"""The engine: the network of one arm with its compiled functions.

One call of a TensorFlow function takes many steps. It gathers its batches from images in memory,
and returns the exact loss of each step. docs/engine.md has the effect of each choice.
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lr_ceiling.mnist import network
from lr_ceiling.mnist.results import Check
from lr_ceiling.mnist.specification import Activation, Optimizer, Variant

# Training images over which batch norm's statistics are recomputed: their average is like moving
# averages over 100 batches with fixed weights, and takes 0.7 s.
REESTIMATION_IMAGES = 10_000

# Batch size of evaluation, and so of batch norm's statistics in training mode. 100 images of the
# largest layer fit the cache, which is 10% faster than 500.
EVALUATION_BATCH = 100

# Keras's default for batch norm's moving averages.
MOMENTUM = 0.99

Floats = npt.NDArray[np.float32]


def configure() -> None:
    """Give this process's TensorFlow one thread and no GPU. Call this before using TensorFlow."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


@dataclass(frozen=True)
class Images:
    """Images (n, 28, 28, 1) as uint8 and labels (n,) as int32, in TensorFlow's memory."""

    images: tf.Tensor
    labels: tf.Tensor


@dataclass(frozen=True)
class Data:
    """The images of a run. `probe` is a part of `train`, and `sample` a part of `validation`."""

    train: Images
    probe: Images
    validation: Images
    sample: Images
    test: Images


class Engine:
    """The network of one arm and its compiled functions. Each run resets it from its seed.

    Compiling takes about a second, so a worker reuses its engines.
    """

    def __init__(self, variant: Variant, activation: Activation, optimizer: Optimizer) -> None:
        """Build the network and its optimizer's state. Functions compile at their first call."""
        self._arm = (variant, activation)
        self._optimizer = optimizer
        self._model = network.build(variant, activation, seed=0)
        self._weights = [weight.value for weight in self._model.trainable_variables]
        self._averages = [average.value for average in self._model.non_trainable_variables]
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._steps_taken = 0
        images, labels = tf.TensorSpec([None, 28, 28, 1], tf.uint8), tf.TensorSpec([None], tf.int32)
        order, count = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)
        rate = tf.TensorSpec([], tf.float32)
        self._train = tf.function(self._take_steps, [images, labels, order, count, rate])
        self._probe = tf.function(self._largest_gradient, [images, labels])
        self._statistics = tf.function(self._mean_statistics, [images])
        self._right = {
            training: tf.function(partial(self._count_right, training), [images, labels])
            for training in (False, True)
        }

    @property
    def parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(int(np.prod(weight.shape)) for weight in self._weights)

    def start(self, seed: int, init_scale: float = 1.0) -> None:
        """Reset the training state, and draw the initial weights of `seed`."""
        self._model.set_weights(network.build(*self._arm, seed, init_scale).get_weights())
        for slot in self._means + self._squares:
            slot.assign(tf.zeros_like(slot))
        self._steps_taken = 0

    def trained(self, seed: int) -> keras.Sequential:
        """A copy of the present network, in a new model built from `seed`."""
        model = network.build(*self._arm, seed)
        model.set_weights(self._model.get_weights())
        return model

    def train(
        self, data: Images, order: npt.NDArray[np.int32], learning_rate: float
    ) -> tuple[Floats, Floats, bool]:
        """Take a step on each batch of `order` (steps, batch size), which holds image indices.

        Returns loss and accuracy of each step (steps,), before its update, and whether all weights
        are finite after the last step.
        """
        losses, accuracies, finite = self._train(
            data.images,
            data.labels,
            tf.constant(order),
            tf.constant(self._steps_taken),
            tf.constant(learning_rate, tf.float32),
        )
        self._steps_taken += len(order)
        return losses.numpy(), accuracies.numpy(), bool(finite)

    def gradient(self, data: Images) -> float:
        """The largest absolute gradient of a weight outside the output layer, on `data`."""
        return float(self._probe(data.images, data.labels))

    def check(self, step: int, data: Images) -> Check:
        """The present accuracy on `data`, after `step` steps, in inference and in training mode."""
        return Check(
            step=step,
            images=len(data.labels),
            inference=self.accuracy(data, training=False),
            training=self.accuracy(data, training=True) if self._averages else None,
        )

    def accuracy(self, data: Images, training: bool) -> float:
        """Accuracy on `data`; in training mode, in batches of 100."""
        return int(self._right[training](data.images, data.labels)) / len(data.labels)

    def reestimated(self, data: Data) -> float | None:
        """Inference accuracy on the validation split with recomputed averages of batch norm.

        They are the means of the statistics of batches of training images under the present
        weights. None for a network without batch norm. The network is not changed.
        """
        if not self._averages:
            return None
        kept = [average.numpy() for average in self._averages]
        for average, value in zip(self._averages, self._statistics(data.train.images), strict=True):
            average.assign(value)
        accuracy = self.accuracy(data.validation, training=False)
        for average, value in zip(self._averages, kept, strict=True):
            average.assign(value)
        return accuracy

    def _mean_statistics(self, images: tf.Tensor) -> list[tf.Tensor]:
        whole = tf.minimum(tf.shape(images)[0], REESTIMATION_IMAGES) // EVALUATION_BATCH
        # If there are fewer images than a batch holds, they form one batch.
        batches = tf.maximum(whole, 1)
        totals = [tf.zeros_like(average) for average in self._averages]
        for i in tf.range(batches):
            start = i * EVALUATION_BATCH
            batch = images[start : start + EVALUATION_BATCH]
            _, statistics = network.logits(self._model, batch, training=True)
            totals = [total + value for total, value in zip(totals, statistics, strict=True)]
        return [total / tf.cast(batches, tf.float32) for total in totals]

    def _take_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        order: tf.Tensor,
        steps_taken: tf.Tensor,
        rate: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        steps = tf.shape(order)[0]
        losses = tf.TensorArray(tf.float32, steps, element_shape=[])
        accuracies = tf.TensorArray(tf.float32, steps, element_shape=[])
        for i in tf.range(steps):
            truth = tf.gather(labels, order[i])
            with tf.GradientTape() as tape:
                logits, statistics = network.logits(
                    self._model, tf.gather(images, order[i]), training=True
                )
                loss = _loss(logits, truth)
            self._update(tape.gradient(loss, self._weights), steps_taken + i + 1, rate)
            for average, value in zip(self._averages, statistics, strict=True):
                average.assign_add((value - average) * (1 - MOMENTUM))
            losses = losses.write(i, loss)
            accuracies = accuracies.write(i, tf.reduce_mean(tf.cast(_hits(logits, truth), "float")))
        finite = [tf.reduce_all(tf.math.is_finite(weight)) for weight in self._weights]
        return losses.stack(), accuracies.stack(), tf.reduce_all(finite)

    def _update(self, gradients: list[tf.Tensor], step: tf.Tensor, rate: tf.Tensor) -> None:
        if self._optimizer == "sgd":
            for weight, gradient in zip(self._weights, gradients, strict=True):
                weight.assign_sub(rate * gradient)
            return
        step = tf.cast(step, tf.float32)
        slots = zip(self._weights, self._means, self._squares, gradients, strict=True)
        for weight, mean, square, gradient in slots:
            # Keras's Adam with its defaults, as one operation instead of twelve.
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=tf.pow(0.9, step),
                beta2_power=tf.pow(0.999, step),
                lr=rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=gradient,
            )

    def _largest_gradient(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        hidden = [w.value for w in self._model.trainable_variables if "/output" not in w.path]
        with tf.GradientTape() as tape:
            logits, _ = network.logits(self._model, images, training=True)
            loss = _loss(logits, labels)
        return tf.reduce_max([tf.reduce_max(tf.abs(g)) for g in tape.gradient(loss, hidden)])

    def _count_right(self, training: bool, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        right = tf.constant(0, tf.int64)
        for start in tf.range(0, tf.shape(labels)[0], EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits, _ = network.logits(self._model, images[batch], training)
            right += tf.math.count_nonzero(_hits(logits, labels[batch]))
        return right


def _loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def _hits(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.argmax(logits, 1, tf.int32), labels)
