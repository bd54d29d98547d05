"""Every damage to the data is found, by the real Great Expectations."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from evidence.drawn import specification_of
from lr_ceiling.errors import ValidationError
from lr_ceiling.evidence.validation.findings import refuse_failures, validate
from lr_ceiling.evidence.validation.published import Specification
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Arrays, Bytes


@pytest.fixture(scope="module")
def drawn(small_arrays: Arrays) -> Specification:
    return specification_of(small_arrays)


def failures(arrays: Arrays, specification: Specification, folder: Path) -> set[str]:
    findings = validate(arrays, specification, folder / "docs")
    return {entry["about"] for entry in findings["expectations"] if not entry["success"]}


def changed(arrays: Arrays, **parts: Bytes) -> Arrays:
    return dataclasses.replace(arrays, **parts)


def with_images(arrays: Arrays, change: Callable[[Bytes], None]) -> Arrays:
    images = arrays.train_images.copy()
    change(images)
    return changed(arrays, train_images=images)


def shifted_labels(arrays: Arrays) -> Arrays:
    return changed(arrays, train_labels=(arrays.train_labels + 1) % 10)


def two_classes_swapped(arrays: Arrays) -> Arrays:
    order = np.array([0, 1, 2, 5, 4, 3, 6, 7, 8, 9], np.uint8)
    return changed(arrays, test_labels=order[arrays.test_labels])


def labels_out_of_order(arrays: Arrays) -> Arrays:
    return changed(arrays, train_labels=np.roll(arrays.train_labels, 1))


def label_that_is_no_digit(arrays: Arrays) -> Arrays:
    labels = arrays.train_labels.copy()
    labels[0] = 10
    return changed(arrays, train_labels=labels)


def swapped_splits(arrays: Arrays) -> Arrays:
    return Arrays(arrays.test_images, arrays.test_labels, arrays.train_images, arrays.train_labels)


def inverted_pixels(arrays: Arrays) -> Arrays:
    return changed(arrays, train_images=255 - arrays.train_images)


def pixels_of_zero_and_one(arrays: Arrays) -> Arrays:
    return changed(arrays, test_images=arrays.test_images // 255)


def turned_images(arrays: Arrays) -> Arrays:
    return changed(arrays, train_images=arrays.train_images[:, ::-1].copy())


def one_percent_duplicated(arrays: Arrays) -> Arrays:
    def duplicate(images: Bytes) -> None:
        images[:12] = images[12:24]

    return with_images(arrays, duplicate)


def duplicates_in_the_test_set(arrays: Arrays) -> Arrays:
    images = arrays.test_images.copy()
    images[0] = images[1]
    return changed(arrays, test_images=images)


def leaked_test_images(arrays: Arrays) -> Arrays:
    def leak(images: Bytes) -> None:
        images[:3] = arrays.test_images[:3]

    return with_images(arrays, leak)


def one_blank_image(arrays: Arrays) -> Arrays:
    return with_images(arrays, lambda images: images[5].fill(0))


def one_saturated_image(arrays: Arrays) -> Arrays:
    return with_images(arrays, lambda images: images[5].fill(255))


def missing_class(arrays: Arrays) -> Arrays:
    kept = arrays.train_labels != 7
    return changed(
        arrays, train_images=arrays.train_images[kept], train_labels=arrays.train_labels[kept]
    )


def missing_image(arrays: Arrays) -> Arrays:
    return changed(arrays, test_images=arrays.test_images[:-1], test_labels=arrays.test_labels[:-1])


def single_image(arrays: Arrays) -> Arrays:
    return Arrays(*(getattr(arrays, name)[:1] for name in dataset.ITEM_SHAPES))


DAMAGES: list[tuple[Callable[[Arrays], Arrays], str]] = [
    (shifted_labels, "share of a class that looks like it"),
    (two_classes_swapped, "share of a class that looks like it"),
    (labels_out_of_order, "share of a class that looks like it"),
    (label_that_is_no_digit, "labels are digits"),
    (swapped_splits, "training images"),
    (inverted_pixels, "the ground is black"),
    (pixels_of_zero_and_one, "the brightest pixel is white"),
    (turned_images, "share of a class that looks like it"),
    (one_percent_duplicated, "no training image twice"),
    (duplicates_in_the_test_set, "no test image twice"),
    (leaked_test_images, "no test image in training"),
    (one_blank_image, "mean: neither blank nor full"),
    (one_saturated_image, "share of saturated pixels"),
    (missing_class, "no class is empty"),
    (missing_image, "images of each class"),
    (single_image, "every class is there"),
]


def test_sound_data_pass(small_arrays: Arrays, drawn: Specification, tmp_path: Path) -> None:
    findings = validate(small_arrays, drawn, tmp_path)
    assert findings["success"]
    assert findings["evaluated"] >= 20
    assert findings["counts"] == {"train": 1200, "test": 200}
    refuse_failures(findings, tmp_path)


@pytest.mark.parametrize(("damage", "about"), DAMAGES, ids=[d.__name__ for d, _ in DAMAGES])
def test_damage_is_found(
    small_arrays: Arrays,
    drawn: Specification,
    tmp_path: Path,
    damage: Callable[[Arrays], Arrays],
    about: str,
) -> None:
    assert about in failures(damage(small_arrays), drawn, tmp_path)


def test_findings_are_the_same_each_time_and_pages_are_replaced(
    small_arrays: Arrays, drawn: Specification, tmp_path: Path
) -> None:
    damaged = shifted_labels(one_blank_image(small_arrays))
    (tmp_path / "mine.txt").write_text("not a page")
    texts = []
    for _ in range(2):
        texts.append(json.dumps(validate(damaged, drawn, tmp_path), allow_nan=False))
        assert len(list(tmp_path.glob("validations/images/**/*.html"))) == 1
    assert texts[0] == texts[1]
    assert (tmp_path / "index.html").is_file()
    assert (tmp_path / "mine.txt").is_file()


def test_refusal_is_a_table_with_what_was_expected_and_seen(
    small_arrays: Arrays, drawn: Specification, tmp_path: Path
) -> None:
    findings = validate(one_blank_image(missing_class(small_arrays)), drawn, tmp_path)
    with pytest.raises(ValidationError) as caught:
        refuse_failures(findings, tmp_path)
    lines = str(caught.value).splitlines()
    assert str(tmp_path / "index.html") in lines[0]
    assert lines[1].split() == ["what", "expected", "seen"]
    table = {line[2:40].split("  ")[0]: line for line in lines[2:]}
    assert table["training images"].split()[-2:] == ["1200", "1080"]
    assert "200 to 255" in table["the brightest pixel is white"]
    assert "maximum 0, split train, index 5" in table["the brightest pixel is white"]
