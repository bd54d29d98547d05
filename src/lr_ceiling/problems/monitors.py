"""Names of what is monitored: which there are, and whether more is better."""

import difflib
from collections.abc import Sequence
from typing import Literal

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.outcome import Mode

AutoMode = Literal["auto", "min", "max"]

ACCURACY = "accuracy"
# Parts of the names of Keras's own metrics and losses, and of the usual ones beside them.
LOWER_IS_BETTER = (
    *("loss", "error", "crossentropy", "divergence", "hinge", "poisson", "perplexity"),
    *("mse", "mae", "mape", "msle", "rmse", "logcosh", "log_cosh"),
)
HIGHER_IS_BETTER = (
    *("acc", "auc", "precision", "recall", "specificity", "sensitivity", "score"),
    *("f1", "iou", "io_u", "dice", "similarity"),
)


def default_monitor(reported: Sequence[str]) -> str:
    """The monitor of a model whose training reports these names, where none is given.

    Raises ProblemError unless the model reports accuracy.
    """
    if ACCURACY in reported:
        return f"val_{ACCURACY}"
    raise ProblemError(
        f"monitor: the model reports no accuracy, but {', '.join(reported)}: compile it with "
        "metrics=['accuracy'], or name another, such as monitor='val_loss', mode='min'"
    )


def check_monitor(monitor: str, names: Sequence[str]) -> None:
    """Raise ProblemError if `monitor` is none of these names, of which there is at least one."""
    if monitor not in names:
        (closest,) = difflib.get_close_matches(monitor, names, n=1, cutoff=0)
        raise ProblemError(
            f"monitor: {monitor!r} is not reported: there are {', '.join(names)}; "
            f"the closest is {closest}"
        )


def mode_of(monitor: str, mode: AutoMode) -> Mode:
    """Whether the monitor is to be high ("max") or low ("min"); "auto" tells it by its name.

    Raises ProblemError for another mode, and where the name doesn't tell.
    """
    if mode not in ("auto", "min", "max"):
        raise ProblemError(f"mode: {mode!r} is none: say 'auto', 'min' or 'max'")
    if mode != "auto":
        return mode
    # "loss" decides in "accuracy_loss", as the last of a name is its noun; so does "error".
    if any(part in monitor for part in LOWER_IS_BETTER):
        return "min"
    if any(part in monitor for part in HIGHER_IS_BETTER):
        return "max"
    raise ProblemError(
        f"mode: the name {monitor!r} doesn't tell whether it is to be high or low: "
        "say mode='max' or mode='min'"
    )
