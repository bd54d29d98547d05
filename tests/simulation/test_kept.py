"""Studies that are kept in a file."""

import math
from pathlib import Path

import pytest

from lr_ceiling.simulation.kept import KeptStudies, Row
from lr_ceiling.simulation.studies import digest_of_studies

STUDIES: list[Row] = [{"trials": 3.0, "error": 0.1 + 0.2}, {"trials": 4.0, "error": math.nan}]
DIGEST = digest_of_studies(STUDIES)


def test_studies_are_read_as_they_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "simulation" / "one.json"
    KeptStudies(path, DIGEST).add(STUDIES)
    again = KeptStudies(path, DIGEST)
    assert again.studies[0] == STUDIES[0]
    assert math.isnan(again.studies[1]["error"])
    again.add([{"trials": 5.0}])
    assert KeptStudies(path, DIGEST).studies[2:] == [{"trials": 5.0}]


@pytest.mark.parametrize("content", [None, "[{", "{}", "3", "[3]", '[{"trials": "many"}]', "[]"])
def test_a_missing_or_damaged_file_holds_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "one.json"
    if content is not None:
        path.write_text(content)
    assert KeptStudies(path, DIGEST).studies == []


def test_studies_of_another_search_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    KeptStudies(path, DIGEST).add(STUDIES)
    assert KeptStudies(path, "0" * 16).studies == []
