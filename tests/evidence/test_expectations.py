"""The specification as expectations: all of it, in order, on columns that there are."""

from pathlib import Path

import pytest

from evidence.drawn import specification_of
from lr_ceiling.evidence.validation.expectations import (
    class_expectations,
    evaluate,
    image_expectations,
)
from lr_ceiling.evidence.validation.features import class_frame, image_frame
from lr_ceiling.evidence.validation.published import MNIST, Specification
from lr_ceiling.mnist.dataset import Arrays


@pytest.fixture(scope="module")
def drawn(small_arrays: Arrays) -> Specification:
    return specification_of(small_arrays)


def test_every_bound_is_expected() -> None:
    notes = [expectation.notes for expectation in image_expectations(MNIST)]
    assert {bound.about for bound in MNIST.bounds} <= set(notes)
    notes += [expectation.notes for expectation in class_expectations(MNIST)]
    # By their notes, entries are put in order.
    assert len(set(notes)) == len(notes) == 22


def test_entries_come_in_order_with_what_was_expected_and_seen(
    small_arrays: Arrays, drawn: Specification, tmp_path: Path
) -> None:
    images = image_frame(small_arrays, drawn)
    images.loc[7, "maximum"] = 3
    entries = evaluate(images, class_frame(images, drawn), drawn, tmp_path / "docs")
    order = [*image_expectations(drawn), *class_expectations(drawn)]
    assert [entry["about"] for entry in entries] == [expected.notes for expected in order]
    (failed,) = [entry for entry in entries if not entry["success"]]
    assert failed == {
        "about": "the brightest pixel is white",
        "expectation": "expect_column_values_to_be_between",
        "rows": "all",
        "expected": {"column": "maximum", "min_value": 200.0, "max_value": 255.0},
        "observed": {
            "of": 1400,
            "unexpected": 1,
            "examples": [{"maximum": 3, "split": "train", "index": 7}],
        },
        "success": False,
    }
    assert (tmp_path / "docs" / "index.html").is_file()
