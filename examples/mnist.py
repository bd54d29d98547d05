"""How far can the learning rate of a small network on MNIST be turned up?

    python examples/mnist.py
    lr-ceiling find examples/mnist.py:problem --low 1e-4 --high 10

`lr-ceiling fetch --output data/mnist.npz` brings the data; MNIST=<path> names another file.
"""

import os

import keras
import numpy as np

from lr_ceiling import KerasProblem, find_ceiling

data = np.load(os.environ.get("MNIST", "data/mnist.npz"))
x, y = data["x_train"] / np.float32(255), data["y_train"]


def build_model() -> keras.Model:
    """A new compiled network; the search sets its learning rate."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
    model = keras.Sequential([keras.Input((28, 28)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


# A tenth of MNIST, so that it takes less than a minute.
held_out = x[-1000:], y[-1000:]
problem = KerasProblem(build_model, x[:6000], y[:6000], validation_data=held_out, target=0.85)

if __name__ == "__main__":
    print(find_ceiling(problem, low=1e-4, high=10))
