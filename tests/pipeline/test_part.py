"""Faults in words."""

from lr_ceiling.errors import LrCeilingError
from lr_ceiling.pipeline.integrity.part import Part


def test_a_fault_says_what_is_wrong_and_then_what_mends_it() -> None:
    part = Part("outputs")
    part.blame("data/x is missing", "`dvc repro x` makes it")
    assert list(map(str, part.faults)) == ["data/x is missing: `dvc repro x` makes it"]


def test_an_error_is_a_fault_with_the_remedy_that_it_names() -> None:
    part = Part("outputs")
    part.blame_for(LrCeilingError("MLflow failed: no table: keep the file"), "mend it")
    part.blame_for(LrCeilingError("MLflow failed"), "mend it")
    assert [(fault.what, fault.mending) for fault in part.faults] == [
        ("MLflow failed: no table", "keep the file"),
        ("MLflow failed", "mend it"),
    ]
