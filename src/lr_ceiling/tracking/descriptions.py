"""Runs and studies in a sentence each, which MLflow's pages show on top."""

from collections.abc import Mapping

from lr_ceiling.mnist.results import RunResult
from lr_ceiling.rounding import short
from lr_ceiling.tracking.metrics import flat, is_finite


def describe_run(run: RunResult) -> str:
    """What was trained and what became of it."""
    spec = run.spec
    called = f" It was called {run.called} after step {run.called_at:,}." if run.called else ""
    return (
        f"The {spec.variant} network with {spec.activation}, trained by {spec.optimizer} at "
        f"learning rate {short(spec.learning_rate, 4)} from seed {spec.seed}: **{run.label}**. "
        f"After {run.steps:,} of {spec.horizon:,} steps its accuracy on the validation images is "
        f"{run.validation_accuracy:.4f}; stable means {spec.target_accuracy:g} or more.{called}"
    )


def describe_study(study: Mapping[str, object], trials: int) -> str:
    """The ceilings that a study of so many trials found."""
    network = f"{study['variant']} network with {study['activation']}"
    highest = study.get("highest_stable")
    found = short(highest, 4) if isinstance(highest, int | float) else "none"
    values = dict(flat(study))
    trains = _ceiling("A fresh seed is stable with probability 0.9", values, "lr90")
    usable = _ceiling("No accuracy is lost", values, "usable")
    return (
        f"{trains}{usable}The highest learning rate at which the {network} was stable in {trials} "
        f"trials: {found}."
    )


def _ceiling(claim: str, values: Mapping[str, object], name: str) -> str:
    """What is so up to a learning rate, and its interval; nothing where there is no such rate."""
    rate, low, high = (values.get(f"{name}/{end}") for end in ("estimate", "ci95/low", "ci95/high"))
    if not is_finite(rate):
        return ""
    ends = [short(end) if is_finite(end) else "unbounded" for end in (low, high)]
    return (
        f"{claim} up to learning rate **{short(rate, 3)}** (95% interval: {ends[0]} to {ends[1]}). "
    )
