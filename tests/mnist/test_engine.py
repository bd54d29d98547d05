"""The engine counts right, keeps what it should, and takes statistics over any number of images."""

import numpy as np
import pytest
import tensorflow as tf

from lr_ceiling.mnist import engine, network
from lr_ceiling.mnist.engine import Data, Engine, Images, configure

configure()

RNG = np.random.default_rng(0)
# Uneven, so that the last batch of an evaluation is smaller than the others.
PIXELS = RNG.integers(0, 256, (250, 28, 28, 1)).astype(np.uint8)
LABELS = RNG.integers(0, 10, 250).astype(np.int32)


def images(count: int) -> Images:
    return Images(tf.constant(PIXELS[:count]), tf.constant(LABELS[:count]))


def data(train: int) -> Data:
    few = images(30)
    return Data(train=images(train), probe=few, validation=images(250), sample=few, test=few)


@pytest.fixture(scope="module")
def normed() -> Engine:
    """Batch norm after a few steps, so that its averages are neither old nor new."""
    made = Engine("batchnorm", "relu", "adam")
    made.start(seed=0)
    made.train(images(250), RNG.integers(0, 250, (5, 32)).astype(np.int32), 0.01)
    return made


def moments(normed: Engine, count: int) -> list[np.ndarray]:
    """Mean and variance of each normalised layer over the first images, as one batch."""
    _, found = network.logits(normed._model, images(count).images, training=True)
    return [value.numpy() for value in found]


@pytest.mark.parametrize("count", [1, 7, 99, 100])
def test_few_images_are_one_batch_of_statistics(normed: Engine, count: int) -> None:
    found = normed._statistics(images(count).images)
    for ours, expected in zip(found, moments(normed, count), strict=True):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_means_over_whole_batches(normed: Engine) -> None:
    # Of 250 images the last 50 are no whole batch.
    found = normed._statistics(images(250).images)
    first = moments(normed, 100)
    _, rest = network.logits(normed._model, tf.constant(PIXELS[100:200]), training=True)
    for ours, one, other in zip(found, first, rest, strict=True):
        np.testing.assert_allclose(ours, (one + other) / 2, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [7, 250])
def test_taking_statistics_anew_leaves_the_network_as_it_was(normed: Engine, count: int) -> None:
    before = [weight.numpy() for weight in normed._model.weights]
    accuracy = normed.reestimated(data(count))
    assert accuracy is not None
    assert 0 < accuracy < 1
    for weight, old in zip(normed._model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_without_batch_norm_there_is_nothing_to_take_anew() -> None:
    assert Engine("baseline", "relu", "adam").reestimated(data(250)) is None


def test_accuracy_counts_every_image_once(normed: Engine) -> None:
    model = normed.trained(seed=0)
    guesses = model(PIXELS / np.float32(255)).numpy().argmax(1)
    expected = np.mean(guesses == LABELS)
    # One image may stand on the edge between two classes, where rounding decides.
    assert normed.accuracy(images(250), training=False) == pytest.approx(expected, abs=1 / 250)


def test_the_largest_gradient_leaves_the_output_layer_out(normed: Engine) -> None:
    few = images(engine.EVALUATION_BATCH)
    weights = normed._model.trainable_variables
    with tf.GradientTape() as tape:
        logits, _ = network.logits(normed._model, few.images, training=True)
        loss = engine._loss(logits, few.labels)
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    largest = max(
        float(np.abs(gradient).max())
        for weight, gradient in zip(weights, gradients, strict=True)
        if not weight.path.split("/")[1].startswith("output")
    )
    assert normed.gradient(few) == pytest.approx(largest, rel=1e-4)


def test_a_start_forgets_all_that_was_learned(normed: Engine) -> None:
    order = RNG.integers(0, 250, (5, 32)).astype(np.int32)
    again = Engine("batchnorm", "relu", "adam")
    losses = []
    for one in (again, again):
        one.start(seed=3)
        losses.append(one.train(images(250), order, 0.01)[0].tolist())
    assert losses[0] == losses[1]
