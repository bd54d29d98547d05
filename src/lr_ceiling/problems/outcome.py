"""What a run came to, and how what a problem returns becomes that."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lr_ceiling.errors import ProblemError

Mode = Literal["max", "min"]
# What a rule may predict of a run before its end.
Call = Literal["failure", "success"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to.

    `stable` says whether it trained; `score` is what it reached, in units of its own, None where
    that is no finite number; `label` says in a word how it ended; `cost` is in full runs, above 0:
    0.5 for a run that ended half way. `as_saved` is the score of the model as it would be saved,
    where that is another one: with the moving averages that training left. `called` is what a rule
    predicted before the end, "failure" or "success", and `ended` says that the run was ended by
    that prediction. What is known to have failed, such as a loss of NaN, is no prediction.

    Raises ValueError for a cost that is no number above 0, and for another call.
    """

    stable: bool
    score: float | None = None
    label: str = ""
    cost: float = 1.0
    as_saved: float | None = None
    called: Call | None = None
    ended: bool = False

    def __post_init__(self) -> None:
        """Take NumPy's bools and numbers, and scalars of tensors, as Python's."""
        cost = float(self.cost)
        if not 0 < cost < math.inf:
            raise ValueError(f"cost is {self.cost}: it must be above 0 full runs")
        if self.called not in (None, *get_args(Call)):
            raise ValueError(f"called is {self.called!r}: it must be 'failure', 'success' or None")
        plain = {
            "stable": bool(self.stable),
            "score": _finite(self.score),
            "label": str(self.label or ("stable" if self.stable else "failed")),
            "cost": cost,
            "as_saved": _finite(self.as_saved),
            "ended": bool(self.ended),
        }
        for name, value in plain.items():
            object.__setattr__(self, name, value)


def _scalar(returned: Any) -> Any:
    """An array or a tensor of one element, as Python has it: a comparison of tensors is one."""
    # TensorFlow's has no `item`.
    if hasattr(returned, "numpy") and not hasattr(returned, "item"):
        returned = returned.numpy()
    return returned.item() if hasattr(returned, "item") else returned


def _finite(score: float | None) -> float | None:
    return float(score) if score is not None and math.isfinite(score) else None


@dataclass(frozen=True)
class Run:
    """A run that has ended: its learning rate, its seed, and what it came to."""

    learning_rate: float
    seed: int
    outcome: Outcome


NOT_FINITE = Outcome(stable=False, label="diverged")


def outcome_of(returned: Any, target: float | None, mode: Mode) -> Outcome:
    """The outcome that a problem's return value means.

    A bool says whether the run was stable; a number is a score, stable from `target` on (`mode`
    "max") or down to it ("min"), and a failure if it is not finite; an Outcome is taken as it is.
    Raises ProblemError for anything else, and for a score without a target.
    """
    if isinstance(returned, Outcome):
        return returned
    try:
        value = _scalar(returned)
        if isinstance(value, bool):
            return Outcome(stable=value)
        if isinstance(value, str | bytes):
            raise TypeError
        score = float(value)
    # The last is PyTorch's for a tensor of several.
    except (TypeError, ValueError, RuntimeError):
        kind = type(returned).__name__
        raise ProblemError(
            f"the problem returned {returned!r:.60} ({kind}): return a bool, a score, or an Outcome"
        ) from None
    if not math.isfinite(score):
        return NOT_FINITE
    if target is None:
        raise ProblemError(
            f"the problem returned the score {score:g}: say with target= from which score on "
            "a run is stable, or return a bool or an Outcome"
        )
    stable = score >= target if mode == "max" else score <= target
    return Outcome(stable=stable, score=score, label="stable" if stable else "slow")
