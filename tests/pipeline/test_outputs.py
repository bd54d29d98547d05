"""Outputs and cache against dvc.lock; tests/test_pipeline.py does it with what DVC itself made."""

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lr_ceiling.pipeline.integrity.outputs import check_cache, check_outputs


def keep(content: bytes, kind: str = "") -> str:
    """Put an object into the cache; gives its name."""
    md5 = hashlib.md5(content).hexdigest() + kind
    path = Path(".dvc/cache/files/md5") / md5[:2] / md5[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return md5


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file and a folder of two files, as DVC keeps them, and a report that is in git."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/models", "reports"):
        (tmp_path / name).mkdir(parents=True)
    entries = []
    for name in ("a", "b"):
        (tmp_path / "data/models" / name).write_text(name)
        entries.append({"md5": keep(name.encode()), "relpath": name})
    (tmp_path / "data/file").write_text("content")
    (tmp_path / "reports/r.json").write_text("{}")
    outs = {
        "data/models": keep(json.dumps(entries, sort_keys=True).encode(), ".dir"),
        "data/file": keep(b"content"),
        "reports/r.json": hashlib.md5(b"{}").hexdigest(),
    }
    lines = [f"    - {{path: {path}, md5: {md5}}}" for path, md5 in outs.items()]
    Path("dvc.lock").write_text("\n".join(["stages:", "  make:", "    outs:", *lines]))
    return tmp_path


def faults() -> list[str]:
    return [str(fault) for fault in check_outputs().faults]


def test_what_is_as_it_was_made_is_sound() -> None:
    assert (check_outputs().seen, faults()) == (3, [])
    assert (check_cache().seen, check_cache().faults) == (4, [])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "data/models/b",
            "data/models/b is not what make made: `dvc checkout --force data/models`",
        ),
        ("data/file", "data/file is not what make made: `dvc checkout --force data/file`"),
        ("reports/r.json", "reports/r.json is not what make made: `git restore reports/r.json`"),
    ],
)
def test_a_flipped_bit_is_found_and_named(path: str, said: str) -> None:
    content = bytearray(Path(path).read_bytes())
    content[0] ^= 1
    Path(path).write_bytes(content)
    (found,) = faults()
    assert found.startswith(said)


def test_a_file_too_many_and_one_too_few_are_named() -> None:
    Path("data/models/b").rename("data/models/c")
    (found,) = faults()
    assert found.startswith("data/models/b, data/models/c is not what make made")


def test_a_folder_in_the_place_of_a_file_and_the_reverse_are_told() -> None:
    Path("data/file").unlink()
    Path("data/file").mkdir()
    shutil.rmtree("data/models")
    Path("data/models").write_text("a")
    assert faults() == [
        f"{path} is not what make made: `dvc checkout --force {path}` puts it back"
        for path in ("data/models", "data/file")
    ]


def test_what_is_missing_and_not_in_the_cache_is_made_again() -> None:
    shutil.rmtree("data/models")
    assert faults() == ["data/models is missing: `dvc checkout --force data/models` puts it back"]
    shutil.rmtree(".dvc")
    assert faults() == ["data/models is missing: `dvc repro make` makes it"]


def test_a_damaged_cache_restores_nothing() -> None:
    path = next(Path(".dvc/cache/files/md5").glob("??/*.dir"))
    path.write_bytes(b"[")
    assert len(check_cache().faults) == 1
    Path("data/models/a").write_text("other")
    # Otherwise DVC would put the damaged object in the place of what the stage made.
    (fault,) = faults()
    assert fault == f"data/models is not what make made: `rm -f {path} && dvc repro make` makes it"


def test_what_a_killed_dvc_left_in_the_cache_is_no_damage() -> None:
    folder = next(Path(".dvc/cache/files/md5").iterdir())
    (folder / ".Zx9_c1PVz-0.tmp").write_bytes(b"half")
    part = check_cache()
    assert (part.seen, part.faults) == (4, [])
    (note,) = part.notes
    command = "find .dvc/cache/files/md5 -name '*.tmp' -delete"
    assert note.startswith("1 half-written files in .dvc/cache/files/md5: ")
    assert f"`{command}`" in note
    subprocess.run(shlex.split(command), check=True)
    assert check_cache().notes == []


def test_a_damaged_object_of_a_folder_goes_before_the_folder_is_made_again() -> None:
    path = Path(".dvc/cache/files/md5") / hashlib.md5(b"b").hexdigest()[:2]
    (path,) = path.iterdir()
    path.write_bytes(b"x")
    shutil.rmtree("data/models")
    assert faults() == [f"data/models is missing: `rm -f {path} && dvc repro make` makes it"]


def test_outputs_that_are_all_gone_are_told_in_one_line() -> None:
    shutil.rmtree("data")
    assert faults() == ["no output of dvc.lock is here: `dvc checkout` puts them back"]


def test_a_fresh_clone_has_no_fault_but_in_its_reports() -> None:
    for path in (Path("data"), Path(".dvc")):
        shutil.rmtree(path)
    assert (check_outputs().faults, check_outputs().notes) == (
        [],
        ["no output is here yet: `make repro` makes them"],
    )
    Path("reports/r.json").write_text("[]")
    assert faults() == [
        "reports/r.json is not what make made: `git restore reports/r.json`, or `dvc repro make` "
        "makes it"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "\x00",
        "3",
        "stages: {make: {outs: [{}]}}",
        "stages: {make: {outs: [{path: '', md5: ab}]}}",
        "stages: {make: {outs: [{path: data/file, md5: 12}]}}",
    ],
)
def test_a_damaged_lock_is_told(content: str) -> None:
    Path("dvc.lock").write_text(content)
    assert faults() == ["dvc.lock is damaged: `git restore dvc.lock`"]
    Path("dvc.lock").unlink()
    assert faults()[0].startswith("dvc.lock is missing: ")
