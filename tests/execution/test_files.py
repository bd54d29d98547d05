"""Files appear whole or not at all, whoever writes them beside us."""

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lr_ceiling.errors import ResultsError
from lr_ceiling.execution import files
from lr_ceiling.execution.files import (
    read_json,
    replacing,
    sha256_of,
    write_bytes,
    write_json,
    write_text,
)


def test_a_file_is_made_with_its_folder_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()
    write_bytes(path, b"other")
    assert path.read_bytes() == b"other"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_may_be_read_by_those_who_may_read_any_other(tmp_path: Path) -> None:
    write_bytes(tmp_path / "ours", b"")
    (tmp_path / "plain").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt(), ValueError()])
def test_a_write_that_fails_leaves_what_there_was(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "as before")
    with pytest.raises(type(error)):
        _write_half(path, error)
    assert path.read_text() == "as before"
    assert list(tmp_path.iterdir()) == [path]


def _write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as partial:
        assert partial.parent == path.parent
        assert partial.name.startswith(".")
        assert partial.name.endswith(".partial")
        partial.write_text("half of")
        raise error


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "as before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ResultsError, match=r"a\.txt can't be written: No space left on device$"):
        write_text(path, "new")
    assert path.read_text() == "as before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file" / "a.txt"):
        with pytest.raises(ResultsError, match="can't be written"):
            write_text(path, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_file_and_folder_are_on_the_disk_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bool]] = []
    target = tmp_path / "a.txt"
    monkeypatch.setattr(files, "_sync", lambda path: synced.append((path, target.exists())))
    write_text(target, "new")
    (first, early), second = synced
    assert (first.parent, first.suffix, early) == (tmp_path, ".partial", False)
    assert second == (tmp_path, True)


def test_two_at_a_time_both_succeed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
    # The one that ended last.
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_processes_that_write_the_same_file_all_succeed(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    code = (
        "import pathlib, sys; from lr_ceiling.execution.files import write_bytes\n"
        "for _ in range(100):\n"
        "    write_bytes(pathlib.Path(sys.argv[1]), bytes([int(sys.argv[2])]) * 100_000)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(number)])
        for number in range(4)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0, 0]
    content = path.read_bytes()
    assert content in [bytes([number]) * 100_000 for number in range(4)]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"a\.json is missing: run `dvc repro`"):
        read_json(tmp_path / "a.json")
    with pytest.raises(ResultsError, match="can't be read: Is a directory"):
        read_json(tmp_path)


def test_json_has_no_nan_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    path.write_text("{")
    with pytest.raises(ResultsError, match="is not JSON"):
        read_json(path)


def test_what_a_killed_writer_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    old, new, whole = (tmp_path / name for name in (".a.1.partial", ".b.2.partial", "c.partial"))
    for path in (old, new, whole):
        path.touch()
    for path in (old, whole):
        os.utime(path, (0, 0))
    files.remove_abandoned(tmp_path)
    assert (old.exists(), new.exists(), whole.exists()) == (False, True, True)
    files.remove_abandoned(tmp_path / "missing")


def test_a_sha256_is_that_of_the_content(tmp_path: Path) -> None:
    content = b"content" * 100_000
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
