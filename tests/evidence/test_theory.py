"""The critical learning rate, where it is known, and the stage."""

from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from conftest import small_spec
from lr_ceiling.evidence import theory
from lr_ceiling.evidence.theory import Walk, bias_effect, critical_rates, smallest_rise
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.specification import Variant


@given(curvature=st.floats(1e-4, 1e4))
def test_on_a_parabola_it_is_two_over_the_curvature(curvature: float) -> None:
    # Down the gradient of c w^2 / 2 from w = 1 the loss is c (1 - rate c)^2 / 2.
    found = smallest_rise(lambda rate: curvature * (1 - rate * curvature) ** 2 / 2)
    assert found == pytest.approx(2 / curvature, rel=0.05)


def test_a_loss_that_never_rises_has_none_and_nan_is_a_rise() -> None:
    assert smallest_rise(lambda rate: -rate) is None
    found = smallest_rise(lambda rate: float("nan") if rate > 0.01 else -rate)
    assert found == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_walk_goes_as_keras_does(optimizer: str) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=7).astype(np.float32)
    ours, theirs = tf.Variable(start), keras.Variable(start)
    walk = Walk([ours], optimizer)  # type: ignore[arg-type]
    keras_walk = keras.optimizers.get({"class_name": optimizer, "config": {"learning_rate": 0.01}})
    for _ in range(5):
        gradient = tf.constant(rng.normal(size=7).astype(np.float32))
        walk.step(0.01, [gradient])
        keras_walk.apply([gradient], [theirs])
    np.testing.assert_allclose(ours.numpy(), np.asarray(theirs), rtol=1e-4, atol=1e-6)


def test_a_look_leaves_the_weights_where_they_are() -> None:
    weight = tf.Variable([1.0, 2.0])
    walk = Walk([weight], "sgd")
    seen = walk.at(0.5, [tf.constant([1.0, 1.0])], lambda: tf.reduce_sum(weight))
    assert seen == pytest.approx(2.0)
    assert weight.numpy().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("variant", get_args(Variant))
def test_a_network_has_a_critical_rate_that_can_be_found_again(
    variant: Variant, small_splits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theory, "IMAGES", 100)
    spec = small_spec(splits_digest(small_splits), variant=variant, learning_rate=0.001)
    found = critical_rates(spec, small_splits, 10)
    assert all(rate and 1e-5 < rate < 100 for rate in found)
    assert found == critical_rates(spec, small_splits, 10)


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_biases_before_batch_norm_change_nothing(small_splits: Path, activation: Any) -> None:
    effect = bias_effect(small_spec("", activation=activation), small_splits)
    assert effect is not None
    logits, gradient = effect
    # Rounding of float64 is seen, so the biases were there.
    assert 0 < logits < 1e-9
    assert 0 < gradient < 1e-9


def test_without_a_gradient_there_is_no_effect_to_tell(
    small_splits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theory, "_largest", lambda tensors: 0.0)
    assert bias_effect(small_spec(""), small_splits) is None
