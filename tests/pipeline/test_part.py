"""Faults in words."""

from lr_ceiling.pipeline.integrity.part import Part


def test_a_fault_says_what_is_wrong_and_then_what_mends_it() -> None:
    part = Part("outputs")
    part.blame("data/x is missing", "`dvc repro x` makes it")
    assert list(map(str, part.faults)) == ["data/x is missing: `dvc repro x` makes it"]
