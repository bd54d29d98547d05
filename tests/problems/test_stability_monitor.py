"""The judge as a callback, in anyone's `fit`."""

from typing import Any

import keras
import numpy as np
import pytest

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras_run import configure
from lr_ceiling.problems.stability_monitor import StabilityMonitor, finite_weights
from problems.networks import blobs, classifier, compiled, regression

# Threads can be set before TensorFlow's first operation only.
configure()

X, Y = blobs(64)


def fit(judge: StabilityMonitor, model: Any, y: Any = Y, **others: Any) -> StabilityMonitor:
    settings = {"validation_data": (X, y), "batch_size": 8, "verbose": 0}
    model.fit(X, y, callbacks=[judge], **settings | others)
    return judge


def verdict(judge: StabilityMonitor) -> tuple[bool | None, str | None, int]:
    return judge.stable, judge.label, judge.steps


def test_the_last_epoch_decides() -> None:
    model = classifier(optimizer=keras.optimizers.SGD(0.1), steps_per_execution=3)
    judge = StabilityMonitor(monitor="val_accuracy", target=0.9)
    fit(judge, model, epochs=12)
    assert judge.score == model.history.history["val_accuracy"][-1]
    assert judge.score is not None
    assert judge.score >= 0.9
    assert verdict(judge) == (True, "stable", 96)
    # The same judge in another training.
    judge.target = 1.1
    fit(judge, model)
    assert verdict(judge) == (False, "slow", 8)


def test_before_the_end_nothing_is_said() -> None:
    judge = StabilityMonitor(target=0.9)
    assert (judge.stable, judge.label, judge.score, judge.steps) == (None, None, None, 0)


def test_what_is_not_finite_is_ended() -> None:
    model = regression()
    model.optimizer.learning_rate = 1e10
    judge = fit(StabilityMonitor("val_loss", target=1.0), model, y=X[:, :1], epochs=50)
    assert (judge.stable, judge.label, judge.score) == (False, "diverged", None)
    assert judge.steps < 400


def test_weights_that_are_not_finite_are_told_though_the_loss_was() -> None:
    model = regression()
    # One step: its loss is of the weights before.
    model.optimizer.learning_rate = np.inf
    judge = fit(StabilityMonitor("loss", target=1e9), model, y=X[:, :1], batch_size=64)
    assert np.isfinite(model.history.history["loss"][0])
    assert not finite_weights(model)
    assert judge.label == "diverged"


def test_a_step_that_loss_scaling_skips_ends_nothing() -> None:
    weights = np.ones(64, np.float32)
    weights[0] = np.inf
    model = regression()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e-3)), "mse")
    judge = StabilityMonitor("val_loss", target=1e9)
    fit(judge, model, y=X[:, :1], sample_weight=weights)
    assert not np.isfinite(model.history.history["loss"][0])
    assert (judge.label, judge.steps) == ("stable", 8)


class OwnSteps(keras.Sequential):  # type: ignore[misc]
    def test_step(self, data: Any) -> dict[str, Any]:
        return {**super().test_step(data), "wobble": keras.ops.ones(())}


def own_steps() -> Any:
    return compiled(OwnSteps([keras.Input((4,)), keras.layers.Dense(2, activation="softmax")]))


@pytest.mark.parametrize(
    ("model", "arguments", "message", "steps"),
    [
        (classifier, {"monitor": "val_acuracy"}, "'val_acuracy' .* the closest is val_accuracy", 1),
        (classifier, {"monitor": "val_loss", "mode": "up"}, "mode: 'up' is none", 1),
        (regression, {}, "monitor: the model reports no accuracy, but loss: compile it with", 1),
        (own_steps, {"monitor": "val_wobbly"}, "'val_wobbly' .* the closest is val_wobble", 16),
        (own_steps, {"monitor": "val_wobble"}, "'val_wobble' doesn't say .*: say mode='max'", 16),
    ],
)
def test_a_monitor_that_cannot_be_ends_fit(
    model: Any, arguments: Any, message: str, steps: int
) -> None:
    built = model()
    y = Y if built.loss != "mse" else X[:, :1]
    with pytest.raises(ProblemError, match=message):
        fit(StabilityMonitor(target=0.9, **arguments), built, y=y, epochs=2)
    assert int(built.optimizer.iterations) == steps


def test_names_of_a_step_of_ones_own_can_be_monitored() -> None:
    judge = fit(StabilityMonitor("val_wobble", target=1.0, mode="max"), own_steps())
    assert (judge.label, judge.score) == ("stable", 1.0)


def test_without_validation_data_what_is_missing_is_told() -> None:
    with pytest.raises(ProblemError, match="'val_accuracy' is not reported: there are accuracy, "):
        fit(StabilityMonitor(target=0.9), classifier(), validation_data=None)
