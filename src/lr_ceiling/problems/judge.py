"""The outcome of a run: six exclusive labels, and the judge that finds them as the run goes.

Every label but `stable` is a failure to train. Failures may be called early, and so may success. A
call is a prediction: a run that went on is what it came to, whatever was called.
"""

import math
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

Label = Literal["stable", "diverged", "exploded", "dead", "lost", "slow"]
# Of ten classes. Guessing has 0.1 right, a constant predictor 0.1135 at most.
CHANCE = 0.2
# The smoothing of batch accuracies, in steps: at batch 32 the mean over 100 steps has a standard
# error below 0.009 at accuracy 0.5.
WINDOW = 100
# A network that starts has a loss near 2.3; above 1e3 it diverges (Bjorck et al. 2018), unless it
# is batch norm at a learning rate of 100, which learns at a loss of 8-14, so accuracy counts too.
EXPLODED_LOSS = 1e3
EXPLODED_STEPS = 200
# Adam's epsilon is 1e-7: steps from gradients below 1e-9 are under 1% of the learning rate.
DEAD_GRADIENT = 1e-9
DEAD_STEPS = 250
# A network that classifies is not dead, however small its gradients.
SOME_SKILL = 0.5
LEARNED = 0.9
LOST_STEPS = 500
FAST = 0.95
# A run whose smoothed accuracy is so far above its target at this share of its horizon is called
# stable: with a target of 0.9, 15 of 15 stable runs of the baselines were, and no other.
SUCCESS_AT, SUCCESS_ABOVE = 0.4, 0.03


class Judge:
    """Watches one run and calls it hopeless, or stable, as soon as a rule holds.

    Feed it every step through `observe` and, after the steps that `wants_gradient` asks for, the
    largest hidden weight gradient through `probe`. `called` and `called_at` hold the first call of
    a failure, `called_stable_at` the step at which the run was called stable.
    """

    def __init__(self, target_accuracy: float, horizon: int) -> None:
        """`horizon` is the run's length in steps."""
        self.called: Label | None = None
        self.called_at: int | None = None
        self.called_stable_at: int | None = None
        self.steps_to_95: int | None = None
        self._target = target_accuracy
        self._looks_for_success_at = max(math.ceil(SUCCESS_AT * horizon), WINDOW)
        self._step = 0
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._learned = False
        self._exploded_for = 0
        self._lost_for = 0
        self._quiet_since: int | None = None

    @property
    def smoothed_accuracy(self) -> float:
        """Mean batch accuracy over the last 100 steps, or over all while there are fewer."""
        return math.fsum(self._recent) / len(self._recent) if self._recent else 0.0

    def observe(
        self, losses: Sequence[float], accuracies: Sequence[float], finite_weights: bool = True
    ) -> None:
        """Take in the next steps' batch losses and accuracies, before each step's update.

        `finite_weights` says whether all weights were finite after the last of them.
        """
        for loss, accuracy in zip(losses, accuracies, strict=True):
            self._step += 1
            if not math.isfinite(loss):
                self._call("diverged")
            self._smooth(accuracy)
            if self.smoothed_accuracy >= SOME_SKILL:
                self._quiet_since = None
            self._watch_explosion(loss)
            self._watch_loss_of_skill()
            self._look_for_success()
        if not finite_weights:
            self._call("diverged")

    @property
    def wants_gradient(self) -> bool:
        """Whether a gradient probe could tell anything: not while the network classifies."""
        return self.called is None and self.smoothed_accuracy < SOME_SKILL

    def probe(self, gradient: float) -> None:
        """Take in the largest absolute weight gradient outside the output layer, at this step."""
        if not gradient < DEAD_GRADIENT:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = self._step
        elif self._step - self._quiet_since >= DEAD_STEPS:
            self._call("dead")

    def ends(self, ended_by: Collection[Label]) -> bool:
        """Whether the run ends here, if these calls may end it; what diverged always does."""
        succeeded = self.called_stable_at is not None and "stable" in ended_by
        return self.called == "diverged" or self.called in ended_by or succeeded

    def label(self, accuracy: float, ended_early: bool = False) -> Label:
        """The run's label, given the accuracy of its weights on the validation split at its end.

        A run that was ended before its horizon is what it was called, whatever it had reached.
        """
        if self.called and (ended_early or self.called == "diverged"):
            return self.called
        if ended_early:
            return "stable"
        if accuracy >= self._target:
            return "stable"
        return self.called or "slow"

    def _call(self, label: Label) -> None:
        # A loss of NaN is no prediction: the run has failed, whatever was called before.
        if self.called is None or (label == "diverged" and self.called != "diverged"):
            self.called, self.called_at = label, self._step

    def _smooth(self, accuracy: float) -> None:
        self._recent.append(accuracy)
        full = len(self._recent) == WINDOW
        if full and self.steps_to_95 is None and self.smoothed_accuracy >= FAST:
            self.steps_to_95 = self._step
        self._learned = self._learned or (full and self.smoothed_accuracy >= LEARNED)

    def _watch_explosion(self, loss: float) -> None:
        # `not <=` counts NaN in; such a run has been called diverged already.
        hot = not loss <= EXPLODED_LOSS and self.smoothed_accuracy < CHANCE
        self._exploded_for = self._exploded_for + 1 if hot else 0
        if self._exploded_for >= EXPLODED_STEPS:
            self._call("exploded")

    def _look_for_success(self) -> None:
        enough = self.smoothed_accuracy >= self._target + SUCCESS_ABOVE
        if self._step == self._looks_for_success_at and self.called is None and enough:
            self.called_stable_at = self._step

    def _watch_loss_of_skill(self) -> None:
        gone = self._learned and self.smoothed_accuracy < CHANCE
        self._lost_for = self._lost_for + 1 if gone else 0
        if self._lost_for >= LOST_STEPS:
            self._call("lost")
