"""The run specification of a benchmark's order, for this project's engine and workers."""

from functools import lru_cache
from pathlib import Path

from benchmarks.protocol import BATCH, Order
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.specification import RunSpec


def spec_of(order: Order, splits: Path) -> RunSpec:
    """The order as a run of one epoch, which nothing ends early."""
    return RunSpec.model_validate(
        {
            "variant": order.variant,
            "activation": order.activation,
            "learning_rate": order.learning_rate,
            "seed": order.seed,
            "optimizer": "adam",
            "batch_size": BATCH,
            "epochs": 1,
            "steps_per_epoch": order.steps,
            # Met by chance. A run that misses it has batch norm's statistics taken anew, which at
            # the post's length none of batch norm's does; runs cut short all would, at 0.4 s.
            "target_accuracy": 0.05,
            "data_digest": _digest(splits),
        }
    )


@lru_cache
def _digest(splits: Path) -> str:
    # Read once: it takes 0.1 s, which is no part of a run.
    return splits_digest(splits)
