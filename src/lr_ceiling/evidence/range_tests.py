"""The usual LR range tests: one sweep, one seed, a learning rate that grows with each step.

They suggest a good learning rate, not the highest one. So the edge is recorded too: the rate at
which the sweep stops because the loss has grown. The sweep itself acts as a warm-up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lr_ceiling.evidence.fresh_seeds import Suggestion
from lr_ceiling.mnist.dataset import read_split
from lr_ceiling.mnist.engine import Engine, Images
from lr_ceiling.mnist.specification import Activation, Optimizer, RunSpec, Variant
from lr_ceiling.mnist.training import batches

Floats = npt.NDArray[np.float64]
BATCH = 32
# Both stop when the smoothed loss is this many times its minimum so far.
GROWN = 4.0
# Number of last steps that both skip, and of steps over which the second computes its slope.
LAST, SLOPE = 5, 20


class Reading(NamedTuple):
    """The result of a sweep: learning rates, and whether it stopped because the loss grew.

    If it did not stop, the edge is the sweep's end.
    """

    suggestion: float
    edge: float
    stopped: bool


@dataclass(frozen=True)
class Finder:
    """A range test: from `start` to `end` in `steps` steps, losses smoothed with `beta`.

    `suggest` returns the index of its suggestion among the smoothed losses, without the first
    `first` and the last five of them.
    """

    name: str
    start: float
    end: float
    steps: int
    beta: float
    first: int
    suggest: Callable[[Floats], int]

    def rates(self) -> Floats:
        """The learning rate of each step."""
        return np.asarray(self.start * (self.end / self.start) ** np.linspace(0, 1, self.steps))

    def read(self, losses: Sequence[float]) -> Reading:
        """The result of a sweep with these losses, which may have ended early."""
        smooth = smoothed(losses, self.beta)
        grown = stopped_at(smooth)
        stop = min(grown, len(smooth) - 1)
        rates = self.rates()
        looked_at = smooth[self.first : stop + 1 - LAST]
        suggestion = self.first + self.suggest(looked_at) if len(looked_at) else stop
        return Reading(float(rates[suggestion]), float(rates[stop]), grown < len(smooth))


def valley(losses: Floats) -> int:
    """The index that fastai's `valley` returns, within the longest falling subsequence of losses.

    Like fastai, this assumes that the subsequence starts as many steps before its end as it is
    long; the suggestion is half-way down, after a third of it is skipped.
    """
    lengths = np.ones(len(losses), dtype=int)
    for i in range(1, len(losses)):
        above = losses[:i] > losses[i]
        if above.any():
            lengths[i] = lengths[:i][above].max() + 1
    end = int(lengths.argmax())
    start = max(end - int(lengths[end]), 0)
    third = (end - start) / 3
    return start + int(third) + int(third / 2)


def steepest(losses: Floats) -> int:
    """The index of the steepest fall over 20 steps: `get_best_lr(sma=20)` of keras_lr_finder."""
    over = min(SLOPE, len(losses) - 1)
    return int(np.argmin(losses[over:] - losses[: len(losses) - over])) + over if over else 0


FINDERS = (
    Finder("fastai", 1e-7, 10.0, 100, 0.98, 10, valley),
    Finder("keras", 1e-6, 10.0, 1000, 0.0, 10, steepest),
)


def smoothed(losses: Sequence[float], beta: float) -> Floats:
    """Exponential mean with bias correction, as in fastai's Recorder."""
    mean, values = 0.0, []
    for step, loss in enumerate(losses, start=1):
        mean = beta * mean + (1 - beta) * loss
        values.append(mean / (1 - beta**step))
    return np.array(values)


def stopped_at(smooth: Floats) -> int:
    """The first step, from 0, whose loss is not below four times the minimum; otherwise all."""
    least = np.minimum.accumulate(np.where(np.isfinite(smooth), smooth, np.inf))
    # `not <=` is also true for NaN.
    grown = np.flatnonzero(~(smooth <= GROWN * least))
    return int(grown[0]) if len(grown) else len(smooth)


# The rates that are recorded of a range test.
RATES = ("suggestion", "edge")


def suggestions(template: RunSpec, splits: Path) -> Iterator[Suggestion]:
    """The rates of each range test on an arm: its suggestion, and its edge."""
    for finder in FINDERS:
        said = sweep(finder, template.variant, template.activation, template.optimizer, 0, splits)
        for name in RATES:
            yield Suggestion(f"{finder.name} {name}", getattr(said, name), said.stopped)


def sweep(
    finder: Finder,
    variant: Variant,
    activation: Activation,
    optimizer: Optimizer,
    seed: int,
    splits: Path,
) -> Reading:
    """Run the sweep on one arm, and return its reading."""
    train = read_split(splits, "train")
    images = Images(
        tf.constant(train.images[..., np.newaxis]), tf.constant(train.labels.astype(np.int32))
    )
    engine = Engine(variant, activation, optimizer)
    engine.start(seed)
    order = batches(seed, len(train.labels), BATCH, finder.steps)
    losses: list[float] = []
    for step, rate in enumerate(finder.rates()):
        seen, _, _ = engine.train(images, order[step : step + 1], float(rate))
        losses += seen.tolist()
        if stopped_at(smoothed(losses, finder.beta)) < len(losses):
            break
    return finder.read(losses)
