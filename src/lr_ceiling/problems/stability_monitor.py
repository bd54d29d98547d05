"""The judge of a Keras training, as a callback. This module imports Keras."""

import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from lr_ceiling.problems.judge import Label
from lr_ceiling.problems.monitors import AutoMode, check_monitor, default_monitor, mode_of


# Keras ships no types.
class StabilityMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a training whose loss is not finite, and judges afterwards whether it was stable.

    `monitor`, by default `val_accuracy`, is a metric that `fit` reports after each epoch; the value
    after the last epoch decides. `mode` says whether higher ("max") or lower ("min") values are
    better; "auto" decides by the name.

    After `fit`, `label` is "stable" if the metric reached `target`, "slow" if it did not, and
    "diverged" if loss, weights or metric are not finite. `score` is the metric, None if it is not
    finite, and `steps` the number of steps taken.

    `fit` raises ProblemError for a monitor that the model doesn't report: after the first steps,
    or, for a model with its own `train_step` or `test_step`, after the last.

    Examples:
        >>> judge = StabilityMonitor(monitor="val_accuracy", target=0.9)
        >>> history = model.fit(x, y, validation_data=(xv, yv), callbacks=[judge], verbose=0)
        >>> judge.stable, judge.label
        (True, 'stable')
    """

    def __init__(
        self, monitor: str | None = None, *, target: float, mode: AutoMode = "auto"
    ) -> None:
        super().__init__()
        self.monitor, self.target, self.mode = monitor, target, mode
        self._forget()

    def _forget(self) -> None:
        self.label: Label | None = None
        self.score: float | None = None
        self.steps = 0
        # Whether the loss, and at the end the weights, are finite.
        self.finite = True
        self._before = 0
        self._reported: Mapping[str, float] = {}
        self._checked = False

    @property
    def stable(self) -> bool | None:
        """Whether the training reached the target; None before the training ended."""
        return None if self.label is None else self.label == "stable"

    def on_train_begin(self, logs: Any = None) -> None:
        """Discard the results of an earlier training."""
        self._forget()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:
        """End the training if its loss is not finite."""
        reported = logs or {}
        if not self._checked:
            self._check_early(reported)
        # `batch` is the last batch of a call, and an epoch may end in the middle of a call.
        self.steps = self._before + min(batch + 1, self.params.get("steps") or batch + 1)
        if not all(map(math.isfinite, _losses(reported))) and not self._is_overflow():
            self.finite = False
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Keep the reported metrics."""
        self._before = self.steps
        self._reported = dict(logs or {})

    def on_train_end(self, logs: Any = None) -> None:
        """Judge the training by its last reported metrics."""
        self.finite = self.finite and finite_weights(self.model)
        if not self.finite:
            self.label = "diverged"
            return
        if self.monitor is None:
            self.monitor = default_monitor(list(self._reported))
        check_monitor(self.monitor, list(self._reported))
        self.judge(self._reported[self.monitor])

    def judge(self, score: float) -> None:
        """Judge the training by this score."""
        assert self.monitor is not None
        mode = mode_of(self.monitor, self.mode)
        self.score = float(score) if math.isfinite(score) else None
        if self.score is None:
            self.label = "diverged"
        else:
            reached = self.score >= self.target if mode == "max" else self.score <= self.target
            self.label = "stable" if reached else "slow"

    def _check_early(self, reported: Mapping[str, float]) -> None:
        self._checked = True
        # A model with its own `test_step` may report other names in validation.
        if not _has_keras_steps(self.model):
            return
        if self.monitor is None:
            self.monitor = default_monitor(list(reported))
        check_monitor(self.monitor, [*(f"val_{name}" for name in reported), *reported])
        mode_of(self.monitor, self.mode)

    def _is_overflow(self) -> bool:
        """Whether this is an overflow of loss scaling, which only skips the step."""
        scales = isinstance(self.model.optimizer, keras.optimizers.LossScaleOptimizer)
        return scales and finite_weights(self.model)


def finite_weights(model: keras.Model) -> bool:
    """Whether all trainable weights are finite."""
    return all(
        bool(np.isfinite(keras.ops.convert_to_numpy(weight.value)).all())
        for weight in model.trainable_variables
    )


def _losses(reported: Mapping[str, float]) -> list[float]:
    return [value for name, value in reported.items() if name.rpartition("_")[2] == "loss"]


def _has_keras_steps(model: keras.Model) -> bool:
    return all(
        getattr(type(model), name) is getattr(keras.Model, name)
        for name in ("train_step", "test_step")
    )
