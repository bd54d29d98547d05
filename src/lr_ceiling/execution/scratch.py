"""Temporary folders, which the next process removes if their own one was killed."""

import contextlib
import os
import platform
import shutil
import stat
import tempfile
from pathlib import Path

import filelock

from lr_ceiling.identity import digest_of

# Hosts may share a folder, but not their locks.
PREFIX = f"lr-ceiling-{digest_of(platform.node())[:8]}-"
LOCK = "lock"


class Scratch(tempfile.TemporaryDirectory[str]):
    """A temporary folder with a lock, which ends with this process.

    Making one removes the folders of this user, on this host, whose lock has ended. Raises OSError
    if it can't be made.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        super().__init__(prefix=PREFIX, ignore_cleanup_errors=True)
        # Under its own name only when it is held: a free lock tells that the process is gone.
        new = Path(self.name) / f"{LOCK}.new"
        self._lock = _lock(new)
        # Where files can't be locked, the folder stays if this process is killed.
        with contextlib.suppress(OSError, NotImplementedError):
            self._lock.acquire()
            new.rename(new.with_name(LOCK))

    def cleanup(self) -> None:
        """Remove the folder."""
        # Windows removes no open files; a task of a foreign executor may have one open, too.
        self._lock.release(force=True)
        super().cleanup()


def _lock(path: Path) -> filelock.FileLock:
    return filelock.FileLock(path, timeout=0, thread_local=False)


def _remove_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another process may use it, or remove it at the same time.
        with contextlib.suppress(OSError, NotImplementedError, filelock.Timeout):
            if _is_ours(folder) and (folder / LOCK).exists():
                with _lock(folder / LOCK):
                    shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Whether it is a folder of this user, and no link."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (
        not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    )
