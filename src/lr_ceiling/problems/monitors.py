"""Names of monitored metrics: which ones exist, and whether higher or lower values are better."""

import difflib
from collections.abc import Sequence
from typing import Literal

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.outcome import Mode

AutoMode = Literal["auto", "min", "max"]

ACCURACY = "accuracy"
# Parts of the names of Keras's metrics and losses, and of other usual ones.
LOWER_IS_BETTER = (
    *("loss", "error", "crossentropy", "divergence", "hinge", "poisson", "perplexity"),
    *("mse", "mae", "mape", "msle", "rmse", "logcosh", "log_cosh"),
)
HIGHER_IS_BETTER = (
    *("acc", "auc", "precision", "recall", "specificity", "sensitivity", "score"),
    *("f1", "iou", "io_u", "dice", "similarity"),
)


def default_monitor(reported: Sequence[str]) -> str:
    """The default monitor of a model whose training reports these names.

    Raises ProblemError unless the model reports accuracy.
    """
    if ACCURACY in reported:
        return f"val_{ACCURACY}"
    raise ProblemError(
        f"monitor: the model reports no accuracy, but {', '.join(reported)}: compile it with "
        "metrics=['accuracy'], or name another, such as monitor='val_loss', mode='min'"
    )


def check_monitor(monitor: str, names: Sequence[str]) -> None:
    """Raise ProblemError if `monitor` is not among `names`, which has at least one name."""
    if monitor not in names:
        (closest,) = difflib.get_close_matches(monitor, names, n=1, cutoff=0)
        raise ProblemError(
            f"monitor: {monitor!r} is not reported: there are {', '.join(names)}; "
            f"the closest is {closest}"
        )


def mode_of(monitor: str, mode: AutoMode) -> Mode:
    """Whether higher ("max") or lower ("min") values are better; "auto" decides by the name.

    Raises ProblemError for another mode, and if "auto" does not know the name.
    """
    if mode not in ("auto", "min", "max"):
        raise ProblemError(f"mode: {mode!r} is none: say 'auto', 'min' or 'max'")
    if mode != "auto":
        return mode
    # The last word of "accuracy_loss" decides, so words for losses and errors are tested first.
    if any(part in monitor for part in LOWER_IS_BETTER):
        return "min"
    if any(part in monitor for part in HIGHER_IS_BETTER):
        return "max"
    raise ProblemError(
        f"mode: the name {monitor!r} doesn't say whether higher or lower is better: "
        "say mode='max' or mode='min'"
    )
