"""The outcome of a run: six exclusive labels, and the judge that assigns them during the run.

Every label except `stable` is a failure to train. The judge may call a failure or a success early.
A call is a prediction: if the run continues, its label is decided by its end.
"""

import math
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

Label = Literal["stable", "diverged", "exploded", "dead", "lost", "slow"]
# For ten classes: guessing has an accuracy of 0.1, a constant predictor at most 0.1135.
CHANCE = 0.2
# The smoothing of batch accuracies, in steps: at batch 32 the mean over 100 steps has a standard
# error below 0.009 at accuracy 0.5.
WINDOW = 100
# A new network has a loss near 2.3, and above 1e3 it diverges (Bjorck et al. 2018). Networks with
# batch norm learn at a learning rate of 100 with a loss of 8-14, so accuracy counts too.
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
# At this share of its horizon a run is called stable if its smoothed accuracy exceeds the target by
# this margin. With a target of 0.9 the rule called 15 of the baselines' 15 stable runs, and no
# other.
SUCCESS_AT, SUCCESS_ABOVE = 0.4, 0.03


class Judge:
    """Watches one run and calls it failed, or stable, as soon as a rule holds.

    Pass every step to `observe`. If `wants_gradient` is true after a step, pass the largest hidden
    weight gradient to `probe`. `called` and `called_at` hold the first call of a failure,
    `called_stable_at` the step at which the run was called stable.
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
        """Mean batch accuracy over the last 100 steps, or over all steps if there are fewer."""
        return math.fsum(self._recent) / len(self._recent) if self._recent else 0.0

    def observe(
        self, losses: Sequence[float], accuracies: Sequence[float], finite_weights: bool = True
    ) -> None:
        """Record the batch losses and accuracies of the next steps, before each step's update.

        `finite_weights` says whether all weights were finite after the last step.
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
        """Whether a gradient probe is informative: it is not while the network classifies."""
        return self.called is None and self.smoothed_accuracy < SOME_SKILL

    def probe(self, gradient: float) -> None:
        """Record the largest absolute weight gradient outside the output layer at this step."""
        if not gradient < DEAD_GRADIENT:
            self._quiet_since = None
        elif self._quiet_since is None:
            self._quiet_since = self._step
        elif self._step - self._quiet_since >= DEAD_STEPS:
            self._call("dead")

    def ends(self, ended_by: Collection[Label]) -> bool:
        """Whether the run ends here: it diverged, or one of the calls in `ended_by` was made."""
        succeeded = self.called_stable_at is not None and "stable" in ended_by
        return self.called == "diverged" or self.called in ended_by or succeeded

    def label(self, accuracy: float, ended_early: bool = False) -> Label:
        """The run's label, given the accuracy of its weights on the validation split at its end.

        The label of a run that was ended early is its call, whatever its accuracy.
        """
        if self.called and (ended_early or self.called == "diverged"):
            return self.called
        if ended_early:
            return "stable"
        if accuracy >= self._target:
            return "stable"
        return self.called or "slow"

    def _call(self, label: Label) -> None:
        # A loss of NaN is an observed failure, which overrides any earlier call.
        if self.called is None or (label == "diverged" and self.called != "diverged"):
            self.called, self.called_at = label, self._step

    def _smooth(self, accuracy: float) -> None:
        self._recent.append(accuracy)
        full = len(self._recent) == WINDOW
        if full and self.steps_to_95 is None and self.smoothed_accuracy >= FAST:
            self.steps_to_95 = self._step
        self._learned = self._learned or (full and self.smoothed_accuracy >= LEARNED)

    def _watch_explosion(self, loss: float) -> None:
        # `not <=` is also true for NaN. Such a run has been called diverged already.
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
