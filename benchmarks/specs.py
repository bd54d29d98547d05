"""The run that an order of a benchmark is, for our own engine and workers."""

from pathlib import Path

from benchmarks.protocol import BATCH, Order
from lr_ceiling.runs import RunSpec


def spec_of(order: Order, splits: Path) -> RunSpec:
    """The order as one epoch of its steps, which nothing ends early."""
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
            "target_accuracy": 0.9,
            # The engine keeps data in memory by path and digest.
            "data_digest": str(splits),
        }
    )
