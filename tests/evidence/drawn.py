"""The specification of the tests' drawn digits, in MNIST's place."""

import dataclasses

import numpy as np

from lr_ceiling.evidence.validation.published import MNIST, Bound, Specification
from lr_ceiling.mnist.dataset import Arrays

# Drawn digits differ from written ones in box, ink and place; the other bounds are MNIST's.
DRAWN = {
    "maximum": (200, 255),
    "ink_share": (0.05, 0.4),
    "box_columns": (1, 14),
    "centre_row": (9, 19),
    "centre_column": (9, 21),
}


def specification_of(arrays: Arrays) -> Specification:
    """What is known of 1,200 training and 200 test images: counts, and how the classes look."""
    images, labels = arrays.train_images, arrays.train_labels
    means = [images[labels == digit].mean(axis=0) for digit in range(10)]
    cells = [mean.reshape(7, 4, 7, 4).mean(axis=(1, 3)).astype(np.uint8) for mean in means]
    return dataclasses.replace(
        MNIST,
        train_counts=(120,) * 10,
        test_counts=(20,) * 10,
        bounds=tuple(
            Bound(bound.about, bound.column, *DRAWN.get(bound.column, bound[2:]))
            for bound in MNIST.bounds
        ),
        class_means=tuple(float(mean.mean()) for mean in means),
        prototypes=tuple(cell.tobytes().hex() for cell in cells),
    )
