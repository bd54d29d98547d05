"""What is known of MNIST is true of it, and of nothing else."""

from pathlib import Path

import numpy as np

from lr_ceiling.evidence.validation.features import image_frame
from lr_ceiling.evidence.validation.published import CLASSES, MNIST
from lr_ceiling.mnist import dataset


def test_every_class_is_described() -> None:
    assert sum(MNIST.train_counts) == 60_000
    assert sum(MNIST.test_counts) == 10_000
    described = (MNIST.train_counts, MNIST.test_counts, MNIST.class_means, MNIST.prototypes)
    assert [len(each) for each in described] == [CLASSES] * 4
    assert all(len(bytes.fromhex(prototype)) == 7 * 7 for prototype in MNIST.prototypes)
    assert all(bound.low <= bound.high for bound in MNIST.bounds)


def test_bound_on_looks_is_clear_of_right_and_wrong_labels(mnist_path: Path) -> None:
    frame = image_frame(dataset.read_arrays(mnist_path), MNIST)
    shares = np.zeros((10, 10))
    np.add.at(shares, (frame["label"], frame["nearest_class"]), 1)
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares.diagonal().min() > 0.6
    assert MNIST.agreement == 0.5
    assert shares[~np.eye(10, dtype=bool)].max() < 0.16
