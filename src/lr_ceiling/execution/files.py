"""Files that appear whole or not at all."""

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

# Seconds after which nobody writes a file any more.
ABANDONED = 3600


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote. Raises ResultsError for a missing or damaged file."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise ResultsError(f"{path} is not JSON ({error}): remove it and run `dvc repro`") from None


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as readable, byte-stable JSON. Raises ValueError for NaN."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as `write_bytes` does."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole or not at all, making its folder. Raises ResultsError."""
    try:
        with replacing(path) as partial:
            partial.write_bytes(content)
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}") from None


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of an empty file to write; it takes the place of `path` unless that fails.

    It lies in the same folder, which is made if need be, under a name that nobody else uses: of
    two processes that write the same file, the one that ends last has it. After an error, which is
    passed on, `path` is as it was. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        # Not by `tempfile`, whose files nobody else may read.
        partial.touch(exist_ok=False)
        yield partial
        _sync(partial)
        partial.replace(path)
    except BaseException:
        # What is left of it, if anything can be removed there.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    # Some file systems can't sync a folder. The file is whole whether they can or not.
    with contextlib.suppress(OSError):
        _sync(path.parent)


def remove_abandoned(folder: Path) -> None:
    """Remove from `folder` what writers left that were killed, an hour ago or earlier."""
    for partial in folder.glob(".*.partial"):
        # Another process may do the same.
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()


def _sync(path: Path) -> None:
    """Have the content of a file or folder on the disk, where it survives a loss of power."""
    # Windows syncs what is open for writing alone, POSIX no folder that is.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bytes(path: Path) -> bytes:
    """The content of a file that a stage has written. Raises ResultsError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: run `dvc repro` to make it") from None
    except OSError as error:
        raise ResultsError(f"{path} can't be read: {error.strerror or error}") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
