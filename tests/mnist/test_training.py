"""The engine is Keras's `fit` to rounding, is deterministic, and says honestly how a run went."""

import dataclasses
import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from conftest import small_spec
from lr_ceiling.errors import DatasetError
from lr_ceiling.mnist import dataset, network, training
from lr_ceiling.mnist.dataset import Arrays, SplitName, read_split, splits_digest
from lr_ceiling.mnist.engine import Engine, configure
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant

configure()

# Each from the same weights, and all on their own.
STEPS, STEPS_ON = 50, 200


def spec(splits: Path, **changes: object) -> RunSpec:
    common: dict[str, object] = {
        "learning_rate": 1e-3,
        "epochs": 2,
        "steps_per_epoch": 30,
        "ended_by": ("dead", "exploded", "lost"),
    }
    return small_spec(splits_digest(splits), **common | changes)


class Reference:
    """Keras's own training of the same network on the same batches."""

    def __init__(
        self, splits: Path, variant: Variant, activation: Activation, rule: keras.Optimizer
    ) -> None:
        train = read_split(splits, "train")
        self.images = train.images[..., np.newaxis] / np.float32(255)
        self.labels = keras.utils.to_categorical(train.labels, 10)
        self.model = network.build(variant, activation, seed=0)
        self.model.compile(rule, "categorical_crossentropy")

    def step(self, batch: np.ndarray) -> float:
        # Keras reports a running mean; emptied, it is the batch's own loss. `fit` would give the
        # same in one call, and wait 5 s for its input pipeline to end.
        self.model.reset_metrics()
        return float(np.array(self.model.train_on_batch(self.images[batch], self.labels[batch])))


ARMS = pytest.mark.parametrize(
    ("variant", "activation"),
    [(v, a) for v in ("baseline", "batchnorm") for a in ("sigmoid", "relu")],
)


# Rounding moves a maximum to another pixel in a step of ten, and then a gradient differs by
# percents: against float64, Keras's own by up to 0.25, the engine's by up to 0.07. A wrong formula
# differs in every step, so the median tells: it was 7e-6 for the baseline, 9e-5 for batch norm.
@ARMS
def test_each_step_equals_keras_from_the_same_weights(
    small_splits: Path, variant: Variant, activation: Activation
) -> None:
    rate = 0.05
    reference = Reference(small_splits, variant, activation, keras.optimizers.SGD(rate))
    engine = Engine(variant, activation, "sgd")
    data = training._read(small_splits, "train")
    weights = reference.model.trainable_variables
    errors = []
    for batch in training.batches(0, len(data.labels), 32, STEPS):
        for ours, theirs in zip(engine._model.weights, reference.model.weights, strict=True):
            ours.assign(theirs)
        before = [weight.numpy() for weight in weights]
        losses, _, finite = engine.train(data, batch[np.newaxis], rate)
        assert finite
        assert losses[0] == pytest.approx(reference.step(batch), rel=1e-4, abs=1e-5)
        averages = reference.model.non_trainable_variables
        for our_average, average in zip(engine._averages, averages, strict=True):
            np.testing.assert_allclose(our_average, average, rtol=1e-4, atol=1e-5)
        errors.append(
            max(
                # Weights near 1 are rounded to 6e-8, whatever their gradient.
                np.abs(ours - theirs).max() / (np.abs(theirs - old).max() + 1e-3)
                for ours, theirs, old in zip(engine._weights, weights, before, strict=True)
            )
        )
    assert np.median(errors) < 1e-3
    assert np.max(errors) < 0.5


# Left to itself, rounding grows: the loss of Keras's own run, started from kernels that differ by
# one rounding, is off by up to 0.012 after 200 steps at this rate, its predictions by 0.033.
@ARMS
def test_200_steps_stay_beside_keras(
    small_splits: Path, variant: Variant, activation: Activation
) -> None:
    rate = 1e-4
    reference = Reference(small_splits, variant, activation, keras.optimizers.Adam(rate))
    engine = Engine(variant, activation, "adam")
    engine.start(seed=0)
    data = training._read(small_splits, "train")
    order = training.batches(0, len(data.labels), 32, STEPS_ON)
    losses = np.concatenate([engine.train(data, part, rate)[0] for part in np.split(order, 8)])
    expected = [reference.step(batch) for batch in order]
    np.testing.assert_allclose(losses[:10], expected[:10], atol=5e-3)
    np.testing.assert_allclose(losses, expected, atol=0.05)
    trained = engine.trained(seed=0)
    for ours, theirs in zip(trained.weights, reference.model.weights, strict=True):
        difference = np.linalg.norm(ours.numpy() - theirs.numpy())
        assert difference < 0.05 * np.linalg.norm(theirs) + 0.01, ours.path
    some = reference.images[:100]
    np.testing.assert_allclose(trained(some), reference.model(some), atol=0.1)


def test_adam_equals_keras() -> None:
    engine = Engine("baseline", "relu", "adam")
    engine.start(seed=0)
    rule = keras.optimizers.Adam(0.01)
    model = engine.trained(seed=0)
    rng = np.random.default_rng(0)
    for step in range(1, 61):
        # From far below Adam's epsilon to far above it.
        size = 10.0 ** rng.uniform(-10, 1)
        gradients = [
            tf.constant(rng.normal(0, size, weight.shape).astype(np.float32))
            for weight in model.trainable_variables
        ]
        rule.apply(gradients, model.trainable_variables)
        engine._update(gradients, tf.constant(step), tf.constant(0.01))
    for ours, theirs in zip(engine._weights, model.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_spec_has_one_result_whatever_ran_before(small_splits: Path, tmp_path: Path) -> None:
    first = training.fit(
        spec(small_splits, variant="batchnorm"), small_splits, tmp_path / "first.keras"
    )
    training.fit(spec(small_splits, variant="batchnorm", seed=1, learning_rate=1.0), small_splits)
    training.fit(spec(small_splits, activation="tanh"), small_splits)
    again = training.fit(
        spec(small_splits, variant="batchnorm"), small_splits, tmp_path / "again.keras"
    )
    training._engine.cache_clear()
    training._load.cache_clear()
    alone = training.fit(
        spec(small_splits, variant="batchnorm"), small_splits, tmp_path / "alone.keras"
    )
    assert first == again == alone
    saved = [(tmp_path / f"{name}.keras").read_bytes() for name in ("first", "again", "alone")]
    assert saved[0] == saved[1] == saved[2]
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("variant", ["baseline", "batchnorm"])
def test_a_saved_model_is_what_was_evaluated(
    small_splits: Path, tmp_path: Path, variant: Variant
) -> None:
    path = tmp_path / "folder" / "model.keras"
    result = training.fit(spec(small_splits, variant=variant), small_splits, path, test=True)
    model = keras.saving.load_model(path, safe_mode=True)
    measured: dict[SplitName, float | None] = {
        "validation": result.validation_accuracy,
        "test": result.test_accuracy,
    }
    for split, accuracy in measured.items():
        arrays = read_split(small_splits, split)
        guesses = model(arrays.images[..., np.newaxis] / np.float32(255)).numpy().argmax(1)
        # One image may stand on the edge between two classes, where rounding decides.
        assert np.mean(guesses == arrays.labels) == pytest.approx(accuracy, abs=1 / len(guesses))


def test_other_images_than_the_run_asks_for_are_refused(
    small_arrays: Arrays, small_splits: Path, tmp_path: Path
) -> None:
    other = tmp_path / "splits.npz"
    dataset.write_splits(other, dataset.split(small_arrays, seed=1, validation=500, gate=100))
    found, wanted = splits_digest(other), splits_digest(small_splits)
    with pytest.raises(DatasetError) as error:
        training.fit(spec(small_splits), other)
    assert str(error.value) == (
        f"{other} holds other images than the run asks for (digest {found}, wanted {wanted}): "
        "run `dvc repro validate`"
    )


def test_a_splits_file_that_was_changed_after_a_run_is_refused(
    small_arrays: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "splits.npz"
    parts = dataset.split(small_arrays, seed=0, validation=500, gate=100)
    dataset.write_splits(path, parts)
    asked = spec(path, epochs=1, steps_per_epoch=1)
    training.fit(asked, path)
    train = dataset.Split(255 - parts.train.images, parts.train.labels)
    dataset.write_splits(path, dataclasses.replace(parts, train=train))
    # Until then the images that were read are used.
    training._load.cache_clear()
    with pytest.raises(DatasetError, match="holds other images"):
        training.fit(asked, path)


def test_a_run_learns_and_keeps_count(small_splits: Path) -> None:
    told: list[int] = []
    result = training.fit(
        spec(small_splits, epochs=3, steps_per_epoch=40), small_splits, on_steps=told.append
    )
    assert result.label == "stable"
    assert (result.called, result.called_at) == (None, None)
    assert result.steps == 120
    assert told == [25, 40, 50, 75, 80, 100, 120]
    assert [(check.step, check.images) for check in result.checks] == [
        (40, 500),
        (80, 500),
        (120, 500),
    ]
    assert result.checks[-1].inference == result.validation_accuracy > 0.9
    assert all(check.training is None for check in result.checks)
    assert result.curve.steps == (25, 50, 75, 100, 120)
    assert result.curve.loss[0] == pytest.approx(2.0, abs=0.4)
    assert result.parameters == 93_322


def test_batch_norm_is_checked_in_both_modes(small_splits: Path) -> None:
    result = training.fit(spec(small_splits, variant="batchnorm"), small_splits)
    # After 60 steps the moving averages have made less than half of their way.
    assert result.validation_accuracy < 0.9 < (result.checks[-1].training or 0)


@pytest.mark.parametrize(
    ("optimizer", "learning_rate"), [("sgd", 1e6), ("sgd", 1e30), ("adam", 1e30)]
)
@pytest.mark.parametrize("ended_by", [("dead",), ()])
def test_a_loss_that_is_no_number_ends_any_run(
    small_splits: Path, optimizer: str, learning_rate: float, ended_by: tuple[str, ...]
) -> None:
    hot = spec(small_splits, optimizer=optimizer, learning_rate=learning_rate, ended_by=ended_by)
    result = training.fit(hot, small_splits)
    assert (result.label, result.steps) == ("diverged", 25)
    assert result.called_at is not None
    assert result.called_at < 10
    assert result.curve.loss == (None,)
    assert result.checks[-1].step == 25


def test_a_dead_network_ends_early_if_it_may(small_splits: Path) -> None:
    dead = {"learning_rate": 1.0, "epochs": 1, "steps_per_epoch": 600, "batch_size": 4}
    early = training.fit(spec(small_splits, **dead), small_splits)
    assert (early.label, early.called, early.called_at, early.steps) == ("dead", "dead", 500, 500)
    watched = training.fit(spec(small_splits, **dead, ended_by=()), small_splits)
    assert (watched.label, watched.called, watched.called_at) == ("dead", "dead", 500)
    assert watched.steps == 600


def test_sgd_learns(small_splits: Path) -> None:
    result = training.fit(
        spec(small_splits, optimizer="sgd", learning_rate=0.05, epochs=4), small_splits
    )
    assert result.validation_accuracy > 0.5


@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 200),
    batch_size=st.integers(1, 40),
    steps=st.integers(1, 60),
)
def test_batches_are_whole_passes_in_new_orders(
    seed: int, images: int, batch_size: int, steps: int
) -> None:
    order = training.batches(seed, images, batch_size, steps)
    assert order.shape == (steps, batch_size)
    assert np.array_equal(order, training.batches(seed, images, batch_size, steps))
    stream = order.ravel()
    for start in range(0, len(stream), images):
        seen = stream[start : start + images]
        assert len(set(seen.tolist())) == len(seen)
        assert 0 <= seen.min() <= seen.max() < images


@given(steps=st.integers(1, 400), steps_per_epoch=st.integers(1, 120))
def test_chunks_cover_each_step_once_and_stop_at_epochs(steps: int, steps_per_epoch: int) -> None:
    order = np.arange(steps, dtype=np.int32).reshape(steps, 1)
    chunks = list(training._chunks(order, steps_per_epoch))
    assert np.array_equal(np.concatenate([chunk for _, chunk in chunks]), order)
    ends = {end for end, _ in chunks}
    assert ends >= set(range(steps_per_epoch, steps, steps_per_epoch)) | {steps}
    assert max(len(chunk) for _, chunk in chunks) <= training.CHUNK_STEPS


def test_a_curve_keeps_a_spike_and_tells_what_is_no_number() -> None:
    losses = [1.0] * 30
    losses[3], losses[27] = 900.0, math.inf
    curve = training._curve(losses, [0.5] * 30)
    assert curve.steps == (25, 30)
    assert curve.loss_max == (900.0, None)
    assert curve.loss_min == (1.0, 1.0)
    assert curve.loss == (924 / 25, None)
