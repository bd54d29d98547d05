"""Studies that are kept in a file."""

import math
from pathlib import Path

import pytest

from lr_ceiling.simulation import studies
from lr_ceiling.simulation.kept import KeptStudies, Row
from lr_ceiling.simulation.studies import digest_of_studies

STUDIES: list[Row] = [{"trials": 3.0, "error": 0.1 + 0.2}, {"trials": 4.0, "error": math.nan}]
OTHERS: list[Row] = [{"trials": 7.0, "error": 0.1}, {"trials": 8.0, "error": 0.2}]
DIGEST = digest_of_studies(STUDIES)


def test_studies_are_read_as_they_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "simulation" / "one.json"
    KeptStudies(path, DIGEST).add(STUDIES)
    again = KeptStudies(path, DIGEST)
    assert again.studies[0] == STUDIES[0]
    assert math.isnan(again.studies[1]["error"])
    again.add([{"trials": 5.0}])
    assert KeptStudies(path, DIGEST).studies[2:] == [{"trials": 5.0}]


@pytest.mark.parametrize(
    "content",
    [
        *(None, "[{", "{}", "3", "[3]", "[]", '{"digest": "a"}', '{"studies": [{"trials": 1}]}'),
        f'{{"digest": "{DIGEST}", "studies": [{{"trials": "many"}}]}}',
        f'{{"digest": "{DIGEST}", "studies": [{{"trials": 1}}]}}',
        f'{{"digest": "{DIGEST}", "studies": 3}}',
    ],
)
def test_a_missing_or_damaged_file_holds_none(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "one.json"
    if content is not None:
        path.write_text(content)
    assert KeptStudies(path, DIGEST).studies == []


@pytest.mark.parametrize(
    "now", [STUDIES[::-1], OTHERS, [STUDIES[0], OTHERS[1]]], ids=["order", "both", "one"]
)
def test_studies_of_another_search_are_not_used(tmp_path: Path, now: list[Row]) -> None:
    path = tmp_path / "one.json"
    KeptStudies(path, DIGEST).add(STUDIES)
    assert KeptStudies(path, digest_of_studies(now)).studies == []


def test_another_kind_of_processor_goes_on_and_keeps_the_first_ones_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.json"
    KeptStudies(path, DIGEST).add(STUDIES)
    monkeypatch.setattr(studies, "processor", lambda: "another kind")
    there = KeptStudies(path, digest_of_studies([STUDIES[0], OTHERS[1]]))
    assert there.digest == DIGEST
    there.add(OTHERS)
    assert len(KeptStudies(path, DIGEST).studies) == 4
    assert KeptStudies(path, digest_of_studies(OTHERS)).studies == []
