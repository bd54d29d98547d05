"""Atomic writes: a file appears whole or not at all."""

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lr_ceiling.errors import ResultsError

# Partial files older than this many seconds are abandoned.
ABANDONED = 3600


def read_json(path: Path) -> Any:
    """Read a file of `write_json`. Raises ResultsError if it is missing or damaged."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON ({error}): remove it and run `dvc repro`") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as readable, byte-stable JSON. Raises ValueError for NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` by `write_bytes`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically, and make its folder. Raises ResultsError."""
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield the path of an empty file, which replaces `path` if the block succeeds.

    The file has a unique name in the same folder, which is made if it is missing. If two processes
    write the same file, the last one wins. After an error in the block, which is passed on, `path`
    is unchanged. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        # Not `tempfile`, because other users may not read its files.
        partial.touch(exist_ok=False)
        yield partial
        _sync(partial)
        partial.replace(path)
    except BaseException:
        # Remove the partial file, if that is possible.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    # Some file systems can't sync a folder. The file is whole in any case.
    with contextlib.suppress(OSError):
        _sync(path.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove partial files of killed writers from `folder`, if they are at least an hour old."""
    for partial in folder.glob(".*.partial"):
        # Another process may remove it at the same time.
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()


def _sync(path: Path) -> None:
    """Flush a file or folder to the disk, so that it survives a loss of power."""
    # Windows syncs only files that are open for writing; POSIX can't open folders for writing.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: Path) -> bytes:
    """The content of a file that a stage wrote. Raises ResultsError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: run `dvc repro` to make it") from None
    except OSError as error:
        raise ResultsError(f"{path} can't be read: {error.strerror or error}") from None


def sha256_of(path: Path) -> str:
    """SHA-256, in hex, of a file of any size."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
