"""Faults in words, and digests of files."""

import hashlib
from pathlib import Path

import pytest

from lr_ceiling.pipeline.integrity.part import Part, digest


def test_a_fault_says_what_is_wrong_and_then_what_mends_it() -> None:
    part = Part("outputs")
    part.blame("data/x is missing", "`dvc repro x` makes it")
    assert list(map(str, part.faults)) == ["data/x is missing: `dvc repro x` makes it"]


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_digest_is_that_of_the_content(kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content" * 100_000)
    assert digest(tmp_path / "a", kind) == hashlib.new(kind, b"content" * 100_000).hexdigest()
