"""Temporary folders: what a killed process leaves is removed by the next one, and nothing else."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lr_ceiling.execution.scratch import Scratch

OWNER = """
import sys
from lr_ceiling.execution.scratch import Scratch

scratch = Scratch()
print(scratch.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def left_by_a_killed_process() -> Path:
    """The folder of a process that was killed; while it lived, the folder stayed."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env=os.environ | {"TMPDIR": tempfile.gettempdir()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        folder = Path(owner.stdout.readline().strip())
        (folder / "inside").mkdir()
        (folder / "inside" / "data").write_text("data")
        with Scratch():
            pass
        assert (folder / "inside" / "data").exists()
        owner.kill()
    return folder


def lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name.rpartition('-')[0]}.lock")


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(place: Path) -> None:
    folder = left_by_a_killed_process()
    assert folder.parent == place
    assert folder.exists()
    with Scratch() as own:
        assert set(place.iterdir()) == {Path(own), lock_of(Path(own))}
    assert list(place.iterdir()) == []


def test_a_process_that_is_killed_before_its_folder_is_there_leaves_nothing_for_long(
    place: Path,
) -> None:
    killed = f"import os, tempfile; tempfile.mkdtemp = lambda *_: os.kill(os.getpid(), 9)\n{OWNER}"
    subprocess.run(
        [sys.executable, "-c", killed], env=os.environ | {"TMPDIR": tempfile.gettempdir()}
    )
    assert [path.suffix for path in place.iterdir()] == [".lock"]
    with Scratch():
        pass
    assert list(place.iterdir()) == []


def test_a_process_keeps_all_its_own_folders() -> None:
    with Scratch() as one, Scratch() as two:
        assert Path(one).is_dir()
        assert Path(two).is_dir()


def test_folders_of_other_hosts_and_other_programs_stay(place: Path) -> None:
    folder = left_by_a_killed_process()
    start, host, number, unique = folder.name.rsplit("-", 3)
    elsewhere = f"{start}-{host[::-1]}-{number}"
    foreign = folder.rename(place / f"{elsewhere}-{unique}")
    lock = lock_of(folder).rename(place / f"{elsewhere}.lock")
    others = [place / f"{start}-{host}-unlocked", place / "lr-ceiling-old"]
    for other in others:
        other.mkdir()
    with Scratch():
        pass
    assert sorted(place.iterdir()) == sorted([foreign, lock, *others])


def test_a_link_of_that_name_is_not_followed(place: Path) -> None:
    folder = left_by_a_killed_process()
    moved = folder.rename(place / "moved")
    folder.symlink_to(moved)
    with Scratch():
        pass
    assert (moved / "inside" / "data").exists()


def test_folders_of_other_users_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = left_by_a_killed_process()
    # This process is another user's: only root could give the folder away.
    other = folder.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: other, raising=False)
    with Scratch():
        pass
    assert (folder / "inside" / "data").exists()
