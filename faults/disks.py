"""Real faults: a small disk that a stage fills, and a read-only disk.

Each try has its own file system in memory. No other process sees this mount, and it disappears when
this process ends.
"""

import contextlib
import math
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faults.campaign import Campaign, Point

FULL = "disk that is full, for real"
READ_ONLY = "disk that is read-only"
# How much of what a stage adds has room.
PERCENT = (0, 25, 50, 75, 100)
PAGE = 4096
ENOUGH = "size=256m"


def namespace() -> list[str]:
    """The command that starts a program with the right to mount; empty if there is none."""
    command = ["unshare", "--map-root-user", "--mount"]
    return command if _works([*command, "true"]) else []


def may_mount() -> bool:
    """Whether this process may mount."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = _works(["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder])
        return mounted and _works(["umount", folder])


def _works(command: list[str]) -> bool:
    known = shutil.which(command[0]) is not None
    return known and subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


class Disks:
    """Tries the stages of a campaign on disks of their own."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign

    def points(self) -> Iterator[Point]:
        """All points: disks of several sizes, and a read-only one."""
        for stage in self._campaign.stages:
            for percent in PERCENT:
                yield Point(stage, "small disk", FULL, percent)
            yield Point(stage, "small disk", READ_ONLY, 0)

    def wrong(self, point: Point) -> str | None:
        """The promise that was broken at a point; None if all were kept."""
        before, after = self._campaign.before(point.stage), self._campaign.after(point.stage)
        used = _pages(before)
        room = used + math.ceil(point.at / 100 * (_pages(after) - used))
        with _mounted(self._campaign.place, f"size={PAGE * max(1, room)}"):
            shutil.copytree(before, self._campaign.place, dirs_exist_ok=True)
            if point.fault == READ_ONLY:
                _remount(self._campaign.place, "ro")
            return self._campaign.wrong_here(
                point, then=lambda: _remount(self._campaign.place, f"rw,{ENOUGH}")
            )


def _pages(folder: Path) -> int:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sum(math.ceil(path.stat().st_size / PAGE) for path in files)


@contextlib.contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
