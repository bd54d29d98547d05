"""The throughput of one worker and of two, on the same runs."""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.post import VARIANTS, OurExperiment
from benchmarks.protocol import Order
from benchmarks.rows import Row, against_bar

BAR = 1.85


def measure(splits: Path, steps: int, repeats: int) -> Row:
    """The ratio of steps per second of two workers to one. Both are warm and take turns."""
    orders = [
        Order("train", v, "relu", seed=seed, steps=steps) for v in VARIANTS for seed in (0, 1)
    ]
    with ExitStack() as stack:
        one = OurExperiment(splits, 1, orders[::2], stack)
        two = OurExperiment(splits, 2, orders[::2], stack)
        speedups = [one.train(orders) / two.train(orders) for _ in range(repeats)]
    return against_bar("scaling-2-workers", speedups, BAR, "times", more_is_better=True)
