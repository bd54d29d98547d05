"""The features that are checked against the specification: one row per image and per class."""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lr_ceiling.evidence.validation.published import CLASSES, Specification
from lr_ceiling.mnist.dataset import Arrays, Bytes

# Prototypes are compared in cells of 4x4 pixels: 7x7 numbers per image.
CELL = 4


def image_frame(arrays: Arrays, specification: Specification) -> pd.DataFrame:
    """One row per image, training images first."""
    images = np.concatenate([arrays.train_images, arrays.test_images])
    sizes = {"train": len(arrays.train_images), "test": len(arrays.test_images)}
    pixels = images.reshape(len(images), -1)
    ink = images > 0
    digests = [hashlib.blake2b(row.data, digest_size=8).hexdigest() for row in pixels]
    labels = np.concatenate([arrays.train_labels, arrays.test_labels]).astype(np.int64)
    nearest = _nearest_prototype(images, specification)
    in_training = set(digests[: sizes["train"]])
    return pd.DataFrame(
        {
            "split": np.repeat(list(sizes), list(sizes.values())),
            "index": np.concatenate([np.arange(size) for size in sizes.values()]),
            "label": labels,
            "minimum": pixels.min(axis=1).astype(np.int64),
            "maximum": pixels.max(axis=1).astype(np.int64),
            "mean": pixels.mean(axis=1),
            "std": pixels.std(axis=1, dtype=np.float32).astype(np.float64),
            "ink_share": ink.mean(axis=(1, 2)),
            "saturated_share": (pixels == 255).mean(axis=1),
            "box_rows": _extent(np.any(ink, axis=2)),
            "box_columns": _extent(np.any(ink, axis=1)),
            "centre_row": _centre(images.sum(axis=2, dtype=np.int64)),
            "centre_column": _centre(images.sum(axis=1, dtype=np.int64)),
            "nearest_class": nearest,
            "agrees": (nearest == labels).astype(np.int64),
            "digest": digests,
            "in_training": [digest in in_training for digest in digests],
        }
    )


def class_frame(images: pd.DataFrame, specification: Specification) -> pd.DataFrame:
    """One row per split and class, including classes without an image."""
    expected = {"train": specification.train_counts, "test": specification.test_counts}
    every = pd.MultiIndex.from_product([expected, range(CLASSES)], names=["split", "label"])
    groups = images.groupby(["split", "label"])
    frame = groups.agg(
        images=("index", "size"), mean=("mean", "mean"), agreement=("agrees", "mean")
    ).reindex(every)
    frame["images"] = frame["images"].fillna(0).astype(np.int64)
    frame["images_expected"] = [*expected["train"], *expected["test"]]
    frame["mean_ratio"] = frame["mean"] / [*specification.class_means, *specification.class_means]
    return frame.reset_index()


def _nearest_prototype(images: Bytes, specification: Specification) -> NDArray[np.int64]:
    known = np.array([list(bytes.fromhex(row)) for row in specification.prototypes], np.float64)
    cells = images.reshape(len(images), 28 // CELL, CELL, 28 // CELL, CELL)
    means = cells.mean(axis=(2, 4)).reshape(len(images), -1)
    # The squared distance without the square of the image, which is the same for all classes.
    distances: NDArray[np.float64] = (known**2).sum(axis=1) - 2 * means @ known.T
    return np.asarray(distances.argmin(axis=1))


def _extent(touched: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The extent from the first to the last True of each row; 0 without one."""
    length = touched.shape[1] - touched.argmax(axis=1) - touched[:, ::-1].argmax(axis=1)
    return np.where(touched.any(axis=1), length, 0)


def _centre(weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean position of each row's weights; -1 if all are zero."""
    total = weights.sum(axis=1)
    return np.where(total, weights @ np.arange(weights.shape[1]) / np.maximum(total, 1), -1.0)
