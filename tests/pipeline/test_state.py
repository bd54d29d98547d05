"""Kept runs, journals and locks."""

import json
import os
import subprocess
from pathlib import Path

import filelock
import pytest

from conftest import small_run
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.pipeline.integrity.state import check_journals, check_kept_runs, check_locks


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keep_run() -> Path:
    """Keep a run with its model; gives the path of its record."""
    store = RunStore(Path("state/runs"))
    run = small_run()
    store.model_path(run.spec).parent.mkdir(parents=True, exist_ok=True)
    store.model_path(run.spec).write_bytes(b"a model")
    store.keep(run, model=True)
    assert store.find(run.spec, model=True) == run
    return store.model_path(run.spec).with_suffix(".json")


def test_a_kept_run_is_sound() -> None:
    keep_run()
    assert (check_kept_runs().seen, check_kept_runs().faults) == (1, [])


@pytest.mark.parametrize("how", ["model", "record", "name", "empty"])
def test_a_damaged_run_is_found_and_never_given_to_a_stage(how: str) -> None:
    path = keep_run()
    if how == "model":
        path.with_suffix(".keras").write_bytes(b"another")
    elif how == "name":
        path = path.rename(path.with_stem("0" * 16))
    else:
        path.write_bytes(b"" if how == "empty" else path.read_bytes()[:-9])
    assert check_kept_runs().faults
    assert RunStore(Path("state/runs")).find(small_run().spec, model=True) is None


def test_a_damaged_journal_names_the_line_and_a_torn_end_is_no_damage() -> None:
    journal = Path("state/search/arm.journal")
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b'{"op_code":0}\n{"op_code":4}\n{"op_c')
    assert check_journals().faults == []
    assert "ends within a line" in check_journals().notes[0]
    journal.write_bytes(b'{"op_code":0}\n\x00\x00\x00\n{"op_code":4}\n')
    (fault,) = check_journals().faults
    assert fault.what == f"{journal.absolute()} is damaged in line 2"


def test_a_lock_that_is_held_is_told_and_stays_held(folder: Path) -> None:
    lock = folder / "state" / "promotion.lock"
    lock.parent.mkdir()
    with filelock.FileLock(lock):
        assert check_locks().notes == [f"{lock} is held: another process is at work"]
        assert check_locks().notes
    assert check_locks().notes == []


@pytest.mark.parametrize("content", ["{", "[]", '{"write": {"a": 1}}', '{"read": {"a": [{}, 1]}}'])
def test_a_damaged_lock_of_dvc_is_told(content: str, folder: Path) -> None:
    (folder / ".dvc" / "tmp").mkdir(parents=True)
    (folder / ".dvc" / "tmp" / "rwlock").write_text(content)
    assert check_locks().faults[0].what.endswith("rwlock is damaged")


def test_a_dvc_that_is_at_work_is_told_and_a_killed_one_is_not(folder: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    rwlock = {
        "read": {"data/a": [{"pid": gone.pid, "cmd": "dvc repro"}]},
        "write": {"data/b": {"pid": os.getpid(), "cmd": "dvc repro train"}, "data/c": {}},
    }
    (folder / ".dvc" / "tmp").mkdir(parents=True)
    (folder / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(rwlock))
    (note,) = check_locks().notes
    assert note.startswith(f"dvc repro train (process {os.getpid()}) is at work: ")
    assert check_locks().faults == []
