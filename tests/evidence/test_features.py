"""Features of images made by hand."""

import numpy as np
import pytest

from evidence.drawn import specification_of
from lr_ceiling.evidence.validation.features import class_frame, image_frame
from lr_ceiling.evidence.validation.published import Specification
from lr_ceiling.mnist.dataset import Arrays


@pytest.fixture(scope="module")
def drawn(small_arrays: Arrays) -> Specification:
    return specification_of(small_arrays)


def one_image(image: np.ndarray) -> Arrays:
    label = np.zeros(1, np.uint8)
    return Arrays(image[np.newaxis], label, image[np.newaxis], label)


def test_a_box_is_measured_by_its_ink(drawn: Specification) -> None:
    image = np.zeros((28, 28), np.uint8)
    image[5:9, 10:20] = 255
    row, again = image_frame(one_image(image), drawn).to_dict("records")
    assert (row["split"], again["split"]) == ("train", "test")
    assert (row["minimum"], row["maximum"]) == (0, 255)
    assert row["mean"] == pytest.approx(255 * 40 / 784)
    assert row["ink_share"] == row["saturated_share"] == pytest.approx(40 / 784)
    assert (row["box_rows"], row["box_columns"]) == (4, 10)
    assert (row["centre_row"], row["centre_column"]) == (6.5, 14.5)
    # The test image is the training image.
    assert again["in_training"]
    assert row["digest"] == again["digest"]


def test_a_blank_image_has_no_box_and_no_centre(drawn: Specification) -> None:
    row, _ = image_frame(one_image(np.zeros((28, 28), np.uint8)), drawn).to_dict("records")
    assert (row["box_rows"], row["box_columns"]) == (0, 0)
    assert (row["centre_row"], row["centre_column"]) == (-1, -1)
    assert row["ink_share"] == 0


def test_drawn_digits_look_like_their_own_class(small_arrays: Arrays, drawn: Specification) -> None:
    frame = image_frame(small_arrays, drawn)
    assert len(frame) == 1400
    assert frame["agrees"].mean() > 0.9
    assert not frame["in_training"][frame["split"] == "test"].any()


def test_a_class_without_images_has_a_row(small_arrays: Arrays, drawn: Specification) -> None:
    images = image_frame(small_arrays, drawn)
    frame = class_frame(images[images["label"] != 3], drawn)
    assert len(frame) == 20
    empty = frame[frame["images"] == 0]
    assert empty["label"].tolist() == [3, 3]
    assert empty["split"].tolist() == ["train", "test"]
    assert empty["mean"].isna().all()
    full = frame[frame["images"] > 0]
    assert (full["images"] == full["images_expected"]).all()
    assert full["mean_ratio"].between(0.9, 1.1).all()
