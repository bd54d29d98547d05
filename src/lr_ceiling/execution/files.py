"""Files that appear whole or not at all."""

import contextlib
import json
from pathlib import Path
from typing import Any

from lr_ceiling.errors import ResultsError


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote. Raises ResultsError for a missing or damaged file."""
    try:
        return json.loads(_read(path))
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
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        # What is left of it, if anything can be removed there.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ResultsError(f"{path} can't be written: {error.strerror or error}") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ResultsError(f"{path} is missing: run `dvc repro` to make it") from None
    except OSError as error:
        raise ResultsError(f"{path} can't be read: {error.strerror or error}") from None
