"""The post's own way: Keras's `fit` with all its defaults, on a Python generator of batches."""

from collections.abc import Iterator
from typing import Any

from benchmarks.peers.keras_arrays import Arrays
from benchmarks.protocol import Floats, Order, batches, serve


class Generator(Arrays):
    """The post's `fit`, with both cores."""

    steps_per_execution = 1

    def batches(self, order: Order) -> Iterator[tuple[Floats, Floats]]:
        """Yield batch after batch."""
        for chosen in batches(order, len(self.images)):
            yield self.images[chosen], self.labels[chosen]

    def validation_data(self) -> Any:
        """Give plain arrays, as the post does."""
        return self.validation


if __name__ == "__main__":
    serve(Generator)
