"""The floor: the FLOPs of the network's steps, as 1024x1024 float32 matrix products."""

import time
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.protocol import BATCH, KERNELS, Floats, Order, Trained, serve

SIDE = 1024
PRODUCT = 2 * SIDE**3
# Pixels of each layer's output; a Dense layer has one.
OUTPUTS = (26 * 26, 11 * 11, 3 * 3, 1, 1)


def step_flops() -> int:
    """FLOPs of a training step on a batch: each product forward, and its two gradients.

    The first layer needs no gradient of its input. All else (pooling, activation, batch norm,
    Adam) counts as free.
    """
    forward = [2 * int(np.prod(k)) * pixels for k, pixels in zip(KERNELS, OUTPUTS, strict=True)]
    return BATCH * (3 * sum(forward) - forward[0])


class Floor:
    """Computes products that cost as many FLOPs as the ordered steps."""

    def __init__(self, splits: Path) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        # Not zeros: what the processor does with them may be faster.
        self._left, self._right = tf.random.normal([2, SIDE, SIDE], seed=0)

    def prepare(self, order: Order) -> int:
        """Warm up."""
        self.train(order)
        return 0

    def train(self, order: Order) -> Trained:
        """Give the time of the products, scaled to the steps' FLOPs exactly."""
        products = max(order.steps * step_flops() // PRODUCT, 1)
        began = time.perf_counter()
        for _ in range(products):
            tf.linalg.matmul(self._left, self._right)
        seconds = time.perf_counter() - began
        return Trained(seconds / products * order.steps * step_flops() / PRODUCT, 0.0, 0.0)

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Raise an error, because a matrix product predicts nothing."""
        raise NotImplementedError("the floor has no network")


if __name__ == "__main__":
    serve(Floor)
