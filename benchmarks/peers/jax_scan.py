"""JAX: many steps in one compiled `scan`.

XLA's own convolutions are slow on a CPU (113 ms per step in a `scan`, 14 ms without). So here a
convolution is a matrix product of the shifted image, and a pooling a maximum over a reshaped axis.
"""

import os
import time
from pathlib import Path
from typing import Any

# One thread, as every other process has; XLA reads it when it is imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.protocol import (
    BETAS,
    CHUNK,
    COMPARED,
    EPSILON,
    NORM_EPSILON,
    NORM_MOMENTUM,
    Data,
    Floats,
    Order,
    Trained,
    batches,
    initial,
    serve,
)

POOLED = (0, 1)
OUTPUT = 4
map_leaves = jax.tree_util.tree_map


def product(x: Any, kernel: Any) -> Any:
    """Convolution without padding, or Dense layer."""
    if kernel.ndim == 2:
        return x.reshape(len(x), -1) @ kernel
    rows, columns = x.shape[1] - 2, x.shape[2] - 2
    shifted = [x[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    return jnp.einsum(
        "nhwc,co->nhwo", jnp.concatenate(shifted, -1), kernel.reshape(-1, kernel.shape[-1])
    )


def pool(x: Any) -> Any:
    """Maximum of each 2x2 pixels; an odd last row and column are dropped."""
    n, rows, columns, channels = x.shape
    even = x[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(n, rows // 2, 2, columns // 2, 2, channels).max((2, 4))


def logits_of(activation: str, layers: Any, averages: Any, images: Any, training: bool) -> Any:
    """Logits (n, 10) of images (n, 28, 28, 1), uint8, and the new moving averages."""
    activate = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid}[activation]
    x, moved = images.astype(jnp.float32) / 255, []
    for number, layer in enumerate(layers):
        x = product(x, layer[0])
        if len(layer) == 3:
            axes = tuple(range(x.ndim - 1))
            moments = (x.mean(axes), x.var(axes)) if training else averages[number]
            old = averages[number]
            moved.append(
                [o * NORM_MOMENTUM + m * (1 - NORM_MOMENTUM) for o, m in zip(old, moments)]  # noqa: B905
            )
            x = (x - moments[0]) * lax.rsqrt(moments[1] + NORM_EPSILON) * layer[1]
        x = x + layer[-1]
        if number != OUTPUT:
            x = activate(x)
        if number in POOLED:
            x = pool(x)
    return x, moved


def adam(state: Any, gradients: Any, rate: Any) -> Any:
    """One step of Adam on (layers, means, squares, steps taken)."""
    layers, means, squares, taken = state
    first, second = BETAS
    taken = taken + 1
    means = map_leaves(lambda m, g: first * m + (1 - first) * g, means, gradients)
    squares = map_leaves(lambda s, g: second * s + (1 - second) * g * g, squares, gradients)
    scale = rate * jnp.sqrt(1 - second**taken) / (1 - first**taken)
    layers = map_leaves(
        lambda w, m, s: w - scale * m / (jnp.sqrt(s) + EPSILON), layers, means, squares
    )
    return layers, means, squares, taken


def as_layers(variant: str, weights: list[Floats]) -> list[list[Any]]:
    """Weights in Keras's order, grouped by layer."""
    size = 3 if variant == "batchnorm" else 2
    return [
        [jnp.asarray(weight) for weight in weights[start : start + size]]
        for start in range(0, len(weights), size)
    ]


class Scan:
    """Compiled functions of each arm."""

    def __init__(self, splits: Path) -> None:
        data = Data.read(splits)
        self._images = jnp.asarray(data.train_images[..., np.newaxis])
        self._labels = jnp.asarray(data.train_labels.astype(np.int32))
        self._validation = jnp.asarray(data.validation_images[..., np.newaxis])
        self._truth = jnp.asarray(data.validation_labels.astype(np.int32))
        self._chunk: dict[tuple[str, str], Any] = {}
        self._right: dict[tuple[str, str], Any] = {}

    def prepare(self, order: Order) -> int:
        """Compile, and warm up."""
        arm = order.variant, order.activation

        def loss(layers: Any, averages: Any, images: Any, labels: Any) -> Any:
            logits, moved = logits_of(order.activation, layers, averages, images, training=True)
            picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
            return -picked.mean(), moved

        def chunk(state: Any, averages: Any, order_of_images: Any, rate: Any) -> Any:
            def step(carry: Any, chosen: Any) -> Any:
                state, averages = carry
                (value, moved), gradients = jax.value_and_grad(loss, has_aux=True)(
                    state[0], averages, self._images[chosen], self._labels[chosen]
                )
                return (adam(state, gradients, rate), moved), value

            return lax.scan(step, (state, averages), order_of_images)

        def right(layers: Any, averages: Any) -> Any:
            logits, _ = logits_of(order.activation, layers, averages, self._validation, False)
            return (logits.argmax(1) == self._truth).mean()

        self._chunk[arm], self._right[arm] = jax.jit(chunk), jax.jit(right)
        self.train(order)
        return sum(weight.size for weight in initial(order))

    def train(self, order: Order) -> Trained:
        """Train from initial weights."""
        arm = order.variant, order.activation
        layers = as_layers(order.variant, initial(order))
        zeros = map_leaves(jnp.zeros_like, layers)
        state = layers, zeros, zeros, 0.0
        averages = [
            [jnp.zeros_like(layer[1]), jnp.ones_like(layer[1])]
            for layer in layers
            if len(layer) == 3
        ]
        order_of_images = batches(order, len(self._images))
        began = time.perf_counter()
        for start in range(0, order.steps, CHUNK):
            chosen = jnp.asarray(order_of_images[start : start + CHUNK])
            (state, averages), losses = self._chunk[arm](
                state, averages, chosen, order.learning_rate
            )
        jax.block_until_ready(losses)
        trained = time.perf_counter()
        accuracy = float(self._right[arm](state[0], averages))
        return Trained(trained - began, time.perf_counter() - trained, accuracy)

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Give the probabilities of these functions."""
        layers = as_layers(order.variant, weights)
        averages = [[0.0, 1.0] for _ in layers]
        logits, _ = logits_of(order.activation, layers, averages, self._images[:COMPARED], True)
        return np.asarray(jax.nn.softmax(logits))


if __name__ == "__main__":
    serve(Scan)
