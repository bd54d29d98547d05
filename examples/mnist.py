"""How far can the learning rate of a small network on MNIST be turned up?

    python examples/mnist.py
    lr-ceiling find examples/mnist.py:problem --low 1e-4 --high 10

Keras downloads MNIST; MNIST=<path> names a copy of it.
"""

import os

import keras
import numpy as np
from keras import layers

from lr_ceiling import KerasProblem, find_ceiling

if "MNIST" in os.environ:
    data = np.load(os.environ["MNIST"])
    x, y, test = data["x_train"], data["y_train"], (data["x_test"], data["y_test"])
else:
    (x, y), test = keras.datasets.mnist.load_data()


def build_model() -> keras.Model:
    """A new compiled network; the search sets its learning rate."""
    hidden = [layers.Rescaling(1 / 255), layers.Flatten(), layers.Dense(64, "relu")]
    model = keras.Sequential([keras.Input((28, 28)), *hidden, layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


# A tenth of MNIST, so that it takes less than a minute.
problem = KerasProblem(build_model, x[:6000], y[:6000], validation_data=test, epochs=1, target=0.85)

if __name__ == "__main__":
    print(find_ceiling(problem, low=1e-4, high=10))
