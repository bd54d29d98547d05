"""What `python -m faults.fuzz` asks of the readers of foreign files, on a handful of files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import ROOT
from faults import readers
from faults.readers import READERS, Reader, try_one
from lr_ceiling.errors import DatasetError

CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "none": lambda whole: whole,
    "empty": lambda whole: b"",
    "half": lambda whole: whole[: len(whole) // 2],
    "twice": lambda whole: whole + whole,
    "first byte": lambda whole: bytes([whole[0] ^ 0xFF]) + whole[1:],
    "middle byte": lambda whole: (
        whole[: len(whole) // 2]
        + bytes([whole[len(whole) // 2] ^ 0x80])
        + whole[len(whole) // 2 + 1 :]
    ),
    "newlines": lambda whole: b"\n".join(whole[start : start + 20] for start in range(0, 400, 20)),
    "zeros": lambda whole: bytes(len(whole)),
    "letters": lambda whole: b"a: \xff\n" * 9,
}


@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_its_whole_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    READERS[name].write(tmp_path / "whole")
    READERS[name].read(tmp_path / "whole")


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", READERS)
def test_a_reader_takes_or_refuses_a_changed_file(
    name: str, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    path = tmp_path / "file"
    READERS[name].write(path)
    path.write_bytes(CHANGES[change](path.read_bytes()))
    try_one(name, path)


@pytest.mark.parametrize("error", [ValueError("what is it"), DatasetError("two\nlines")])
def test_a_reader_that_breaks_the_rules_is_found(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: Path) -> None:
        raise error

    monkeypatch.setitem(readers.READERS, "idx", Reader(read, readers.write_idx))
    with pytest.raises(type(error)):
        try_one("idx", tmp_path)
    monkeypatch.setitem(readers.READERS, "npz", Reader(read, readers.write_npz))
    if isinstance(error, DatasetError):
        try_one("npz", tmp_path)
