"""The post's experiment end to end: three comparisons, both variants, every way of training.

It is scaled down: each run takes a few steps instead of 5,625. Its evaluation shrinks by the same
factor, because the splits files have fewer validation images.
"""

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.fleet import OURS, Fleet
from benchmarks.places import SCRATCH
from benchmarks.protocol import CHUNK, Order
from benchmarks.rows import Row, against_peer
from benchmarks.specs import spec_of
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline.workers import workers

VARIANTS = ("batchnorm", "baseline")
ACTIVATIONS = ("sigmoid", "relu")
# The post's comparisons; batch norm's runs first, since they take longer.
CELLS = (("sigmoid", 0.01), ("relu", 0.01), ("relu", 0.001))
EPOCH = 1875
EPOCHS = 3
VALIDATION = 5000
# Of `training`, which is not imported: it would bring TensorFlow into the driver.
CHECK_STEPS, CHECK_IMAGES = 1000, 500
# Steps of all runs of the experiment at full length.
FULL = len(CELLS) * len(VARIANTS) * EPOCHS * EPOCH


def arms() -> list[Order]:
    """Orders to prepare every network."""
    return [Order("prepare", v, a) for v in VARIANTS for a in ACTIVATIONS]


def runs(steps: int) -> list[Order]:
    """Orders to train the experiment's runs."""
    return [
        Order("train", variant, activation, rate, seed=number, steps=steps)
        for variant in VARIANTS
        for number, (activation, rate) in enumerate(CELLS)
    ]


def scaled_splits(splits: Path, steps: int, ours: bool) -> Path:
    """A splits file whose number of validation images is scaled down like `steps`.

    All ways evaluate the whole validation split at an epoch's end. Ours also evaluates samples in
    between, so its file has more images.
    """
    whole = dataset.read_splits(splits)
    sampled = CHECK_IMAGES * (EPOCHS * EPOCH // CHECK_STEPS) / EPOCHS if ours else 0
    images = max(round((VALIDATION + sampled) * steps / EPOCH), 1)
    part = dataset.Split(whole.validation.images[:images], whole.validation.labels[:images])
    path = SCRATCH / f"splits-{images}.npz"
    dataset.write_splits(path, replace(whole, validation=part))
    return path


class OurExperiment:
    """The pipeline's workers, warmed up for the given arms; this took `startup` seconds."""

    def __init__(
        self, splits: Path, processes: int, arms: Sequence[Order], stack: ExitStack
    ) -> None:
        self._splits = splits
        began = time.perf_counter()
        self._runner = stack.enter_context(workers(processes))
        for order in arms:
            # As many at once as there are workers: each warms up.
            self._runner.execute(
                [self._task(replace(order, seed=seed)) for seed in range(processes)]
            )
        self.startup = time.perf_counter() - began

    def train(self, orders: Sequence[Order]) -> float:
        """Train all runs. Gives the wall time."""
        began = time.perf_counter()
        self._runner.execute([self._task(order) for order in orders])
        return time.perf_counter() - began

    def _task(self, order: Order) -> TrainingTask:
        return TrainingTask(spec_of(order, self._splits), self._splits)


def measure(ours: OurExperiment, fleets: Sequence[Fleet], steps: int, repeats: int) -> list[Row]:
    """One row per peer; the peers take turns."""
    orders = runs(steps)
    times: dict[str, list[float]] = {name: [] for name in [OURS.name, *_names(fleets)]}
    stalls: dict[str, list[float]] = {name: [] for name in _names(fleets)}
    for _ in range(repeats):
        times[OURS.name].append(ours.train(orders))
        for fleet in fleets:
            wall, trained = fleet.train(orders)
            times[fleet.peer.name].append(wall)
            stalls[fleet.peer.name] += [run.stall for run in trained]
    taken = len(orders) * steps
    longer = FULL / taken
    mine = statistics.median(times[OURS.name])
    rows = []
    for fleet in fleets:
        theirs = statistics.median(times[fleet.peer.name])
        rows.append(
            against_peer(
                "post-experiment",
                times[OURS.name],
                times[fleet.peer.name],
                fleet.peer.name,
                "s",
                steps=taken,
                ours_startup=ours.startup,
                peer_startup=fleet.startup,
                peer_stall_a_run=statistics.median(stalls[fleet.peer.name]),
                full_length_ratio_with_startup=(theirs * longer + fleet.startup)
                / (mine * longer + ours.startup),
            )
        )
    return rows


def check_steps(steps: int) -> int:
    """Return `steps`. Raises ValueError for a number that the compiled peers can't take."""
    if steps % CHUNK:
        raise ValueError(f"steps is {steps}: it must be a multiple of {CHUNK}")
    return steps


def _names(fleets: Sequence[Fleet]) -> list[str]:
    return [fleet.peer.name for fleet in fleets]
