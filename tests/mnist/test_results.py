"""Records of runs: their files, and what is no record."""

from pathlib import Path

import pytest

from conftest import small_run
from lr_ceiling.errors import ResultsError
from lr_ceiling.mnist.results import read_runs, write_runs


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    runs = (small_run(), small_run(seed=1, label="dead", called="dead", called_at=5))
    write_runs(tmp_path / "new" / "runs.json", runs)
    assert read_runs(tmp_path / "new" / "runs.json") == runs
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["runs.json"]


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"spec": 1}]', "[1e400]", "\0"])
def test_foreign_files_are_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(ResultsError) as error:
        read_runs(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="is missing: run `dvc repro`"):
        read_runs(tmp_path / "runs.json")
