"""Temporary folders, which the next process removes if their own one was killed."""

import contextlib
import os
import platform
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import filelock

from lr_ceiling.identity import digest_of

# Hosts may share a folder, but not their locks.
PREFIX = f"lr-ceiling-{digest_of(platform.node())[:8]}-"
LOCK = ".lock"


class Scratch(tempfile.TemporaryDirectory[str]):
    """A temporary folder with a lock beside it, which ends with this process.

    Making one removes the folders of this user, on this host, whose lock has ended. Raises OSError
    if it can't be made.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        # Before the folder: a process that is killed at any moment leaves none without a lock.
        self._lock = _new_lock()
        super().__init__(prefix=f"{Path(self._lock.lock_file).stem}-", ignore_cleanup_errors=True)

    def cleanup(self) -> None:
        """Remove the folder and its lock."""
        # Windows removes no open files; a task of a foreign executor may have one open, too.
        super().cleanup()
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink()
        self._lock.release(force=True)


def _new_lock() -> filelock.FileLock:
    while True:
        lock = _lock(Path(tempfile.gettempdir()) / f"{PREFIX}{secrets.token_hex(4)}{LOCK}")
        try:
            lock.acquire()
        # Another process has just taken it for abandoned.
        except filelock.Timeout:
            continue
        # Where files can't be locked, the folder stays if this process is killed.
        except (OSError, NotImplementedError):
            pass
        return lock


def _lock(path: Path) -> filelock.FileLock:
    return filelock.FileLock(path, timeout=0, thread_local=False)


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*{LOCK}"):
        # Another process may use it, or remove it at the same time.
        with contextlib.suppress(OSError, NotImplementedError, filelock.Timeout):
            if _is_ours(path, stat.S_ISREG):
                with _lock(path):
                    for folder in path.parent.glob(f"{path.stem}-*"):
                        if _is_ours(folder, stat.S_ISDIR):
                            shutil.rmtree(folder, ignore_errors=True)
                    path.unlink()


def _is_ours(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Whether it is of this user and of this kind, so no link."""
    status = path.lstat()
    return is_kind(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())
