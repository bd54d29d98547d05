"""What MLflow's charts and tables show of a run or study: metrics and parameters."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

from mlflow.entities import Metric, Param

from lr_ceiling.execution.provenance import Facts
from lr_ceiling.mnist.results import RunResult


def run_params(run: RunResult) -> list[Param]:
    """What a run was asked for, and its label."""
    # The UI sorts by parameters and metrics, not by tags; its charts know nothing of tags.
    values = run.spec.model_dump() | {"label": run.label}
    if not run.spec.ended_by:
        del values["ended_by"]
    return [Param(name, str(value)) for name, value in values.items()]


def run_metrics(
    run: RunResult, facts: Facts | None, timestamp: int, model_id: str | None
) -> list[Metric]:
    """Curves on the axis of optimizer steps, and single values at step 0."""
    curve = run.curve
    series: dict[str, Iterable[tuple[int, float | None]]] = {
        "train/loss": zip(curve.steps, curve.loss, strict=True),
        "train/loss_min": zip(curve.steps, curve.loss_min, strict=True),
        "train/loss_max": zip(curve.steps, curve.loss_max, strict=True),
        "train/accuracy": zip(curve.steps, curve.accuracy, strict=True),
        "validation/accuracy": [(check.step, check.inference) for check in run.checks],
        # Batch norm with the images' own statistics: the gap that the post closes on.
        "validation/accuracy_training_mode": [(check.step, check.training) for check in run.checks],
    }
    # The learning rate is a metric as well: MLflow sorts parameters as text.
    values = {
        "learning_rate": run.spec.learning_rate,
        "log10_learning_rate": math.log10(run.spec.learning_rate),
        "stable": run.label == "stable",
        "validation_accuracy": run.validation_accuracy,
        "test_accuracy": run.test_accuracy,
        "steps_to_95": run.steps_to_95,
        "steps": run.steps,
        "called_at": run.called_at,
        "parameters": run.parameters,
        "seconds": facts.seconds if facts else None,
    }
    return [
        Metric(name, value, timestamp, step)
        for name, points in series.items()
        for step, value in points
        if is_finite(value)
    ] + [
        # At any other step the UI draws a line for it, which is one dot; at 0 it is a bar.
        Metric(name, float(value), timestamp, 0, model_id)
        for name, value in values.items()
        if is_finite(value)
    ]


def study_metrics(study: Mapping[str, object], timestamp: int) -> list[Metric]:
    """A study's numbers."""
    return [Metric(name, value, timestamp, 0) for name, value in flat(study) if is_finite(value)]


def study_params(study: Mapping[str, object]) -> list[Param]:
    """A study's texts."""
    return [Param(name, value) for name, value in flat(study) if isinstance(value, str)]


def flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Names as paths, such as lr90/ci95/low, and values; a pair is an interval's ends."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}/")
        elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
            yield from flat(dict(zip(("low", "high"), value, strict=True)), f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def is_finite(value: object) -> TypeGuard[float]:
    """Whether `value` is a number that MLflow can keep."""
    # MLflow stores infinity as 1.8e308 and has had trouble with NaN; the label tells of both.
    return isinstance(value, int | float) and math.isfinite(value)
