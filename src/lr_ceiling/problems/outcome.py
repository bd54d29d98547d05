"""The outcome of a run, and its derivation from a problem's return value."""

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lr_ceiling.errors import ProblemError

Mode = Literal["max", "min"]
# A rule's prediction before the end of a run.
Call = Literal["failure", "success"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a run.

    Attributes:
        stable: whether the run trained.
        score: its score, in units of its own; None if it is not finite. If your problem ends runs
            early because they will succeed, the runs that go on are worse than average. Then decide
            by a random draw before each run whether it goes to the end, and give a score for those
            alone.
        label: how it ended, in one word.
        cost: its cost in full runs, above 0: 0.5 for a run that ended half way.
        as_saved: the score of the saved model, if it differs from `score`: batch norm then uses the
            moving averages of the training.
        called: the prediction of a rule before the end, "failure" or "success". An observed
            failure, such as a loss of NaN, is not a prediction.
        ended: whether that prediction ended the run.

    Raises ValueError if `cost` is not a finite number above 0, and for an unknown `called`.

    Examples:
        >>> Outcome(stable=False, label="diverged", cost=0.1).score is None
        True
    """

    stable: bool
    score: float | None = None
    label: str = ""
    cost: float = 1.0
    as_saved: float | None = None
    called: Call | None = None
    ended: bool = False

    def __post_init__(self) -> None:
        """Convert NumPy's bools and numbers, and scalar tensors, to Python's."""
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
    """A one-element array, or tensor such as a comparison gives, as a Python scalar."""
    # TensorFlow's tensors have no `item`.
    if hasattr(returned, "numpy") and not hasattr(returned, "item"):
        returned = returned.numpy()
    return returned.item() if hasattr(returned, "item") else returned


def _finite(score: float | None) -> float | None:
    return float(score) if score is not None and math.isfinite(score) else None


@dataclass(frozen=True)
class Run:
    """A finished run: its learning rate, its seed, and its outcome."""

    learning_rate: float
    seed: int
    outcome: Outcome


NOT_FINITE = Outcome(stable=False, label="diverged")


def outcome_of(returned: Any, target: float | None, mode: Mode) -> Outcome:
    """The outcome for a problem's return value.

    A bool says whether the run was stable. A number is a score: the run is stable if the score is
    at least `target` (`mode` "max") or at most `target` ("min"), and failed if it is not finite. An
    Outcome is returned unchanged. Raises ProblemError for anything else, and for a score without a
    target.
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
    # PyTorch raises the last one for a tensor of several elements.
    except (TypeError, ValueError, RuntimeError):
        kind = type(returned).__name__
        raise ProblemError(
            f"the problem returned {returned!r:.60} ({kind}): return a bool, a score, or an Outcome"
        ) from None
    if not math.isfinite(score):
        return NOT_FINITE
    if target is None:
        raise ProblemError(
            f"the problem returned the score {score:g}: give target=, the score of a stable run, "
            "or return a bool or an Outcome"
        )
    stable = score >= target if mode == "max" else score <= target
    return Outcome(stable=stable, score=score, label="stable" if stable else "slow")
