"""This project's way: `training.fit`, called like in a worker."""

import time
from pathlib import Path

import tensorflow as tf

from benchmarks.protocol import COMPARED, Data, Floats, Order, Trained, serve
from benchmarks.specs import spec_of
from lr_ceiling.mnist import engine, network, training
from lr_ceiling.mnist.results import RunResult


class Engine:
    """Executes runs like a worker of the pipeline."""

    def __init__(self, splits: Path) -> None:
        engine.configure()
        self._splits = splits

    def prepare(self, order: Order) -> int:
        """Compile by training the shortest run."""
        return self._fit(order, []).parameters

    def train(self, order: Order) -> Trained:
        """Train a run. Its time lies between its first and its last call of steps."""
        calls: list[tuple[int, float]] = []
        began = time.perf_counter()
        result = self._fit(order, calls)
        whole = time.perf_counter() - began
        (first, start), (last, end) = calls[0], calls[-1]
        training_seconds = (end - start) / (last - first) * order.steps
        return Trained(training_seconds, whole - training_seconds, result.validation_accuracy)

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Give the probabilities of the engine's own path."""
        model = network.build(order.variant, order.activation, seed=0)  # type: ignore[arg-type]
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        images = Data.read(self._splits).train_images[:COMPARED, ..., None]
        logits, _ = network.logits(model, tf.constant(images), training=True)
        probabilities: Floats = tf.nn.softmax(logits).numpy()
        return probabilities

    def _fit(self, order: Order, calls: list[tuple[int, float]]) -> RunResult:

        def on_steps(steps: int) -> None:
            calls.append((steps, time.perf_counter()))

        return training.fit(spec_of(order, self._splits), self._splits, on_steps=on_steps)


if __name__ == "__main__":
    serve(Engine)
