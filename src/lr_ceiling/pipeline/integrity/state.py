"""Checks the contents of `state/`: runs, journals, and the locks of running commands."""

import contextlib
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from lr_ceiling.execution.files import sha256_of
from lr_ceiling.execution.provenance import root
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.version import run_digest
from lr_ceiling.pipeline.integrity.part import Part

LOCKS = ("state/*.lock", "state/search/*.driver", "mlruns/*.lock")
REMOVE = "remove it; the run is made again when it is asked for"


def check_kept_runs() -> Part:
    """Check that each run in state/runs fits its name, and that its model is unchanged."""
    part = Part("kept runs")
    folder = root() / "state" / "runs"
    for path in sorted((folder / run_digest()).glob("*.json")):
        part.seen += 1
        _check_run(path, part)
    others = len(list(folder.glob("*/*.json"))) - part.seen
    if others:
        part.notes.append(f"{others} runs in {folder} are of other versions or processors")
    left = len(list(folder.glob("*/.*.partial")))
    if left:
        part.notes.append(f"{left} half-written files in {folder}: they go with the next stage")
    return part


def check_journals() -> Part:
    """Check that each line of the studies' journals is whole."""
    part = Part("journals")
    for path in sorted((root() / "state" / "search").glob("*.journal")):
        part.seen += 1
        *lines, last = path.read_bytes().split(b"\n")
        wrong = next((n for n, line in enumerate(lines, 1) if not _is_operation(line)), None)
        if wrong:
            part.blame(
                f"{path} is damaged in line {wrong}",
                "remove it and run `dvc repro`, which finds its runs in state/runs",
            )
        elif last:
            part.notes.append(f"{path} ends within a line: the next search cuts that off")
    return part


def check_locks() -> Part:
    """List the running commands of this checkout. A lock ends with its owner, so none is stale."""
    part = Part("locks")
    for path in sorted(path for pattern in LOCKS for path in root().glob(pattern)):
        part.seen += 1
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                part.notes.append(f"{path} is held: another process is at work")
    rwlock = root() / ".dvc" / "tmp" / "rwlock"
    with contextlib.suppress(FileNotFoundError):
        part.seen += 1
        content = rwlock.read_bytes()
        try:
            holders = _holders(json.loads(content or b"{}"))
        except (ValueError, TypeError, KeyError, AttributeError):
            part.blame(f"{rwlock} is damaged", "remove it when no `dvc` runs here")
            return part
        for process, command in sorted(holders):
            # DVC removes the entries of killed processes.
            if _is_running(process):
                part.notes.append(
                    f"{command} (process {process}) is at work: until it ends, outputs of its "
                    "stage may be missing"
                )
    return part


def _holders(rwlock: Mapping[str, Mapping[str, Any]]) -> set[tuple[int, str]]:
    """The numbers and commands of the processes in DVC's lock file."""
    entries = [entry for reading in rwlock.get("read", {}).values() for entry in reading]
    entries += rwlock.get("write", {}).values()
    return {(int(entry["pid"]), str(entry["cmd"])) for entry in entries if entry}


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    # No process has a number that large.
    except (ProcessLookupError, OverflowError):
        return False
    # It is another user's.
    except PermissionError:
        return True
    return True


def _check_run(path: Path, part: Part) -> None:
    try:
        kept = json.loads(path.read_bytes())
        result = RunResult.model_validate_json(json.dumps(kept["result"]))
        sha256 = kept["model_sha256"]
    except (OSError, ValueError, KeyError, TypeError, pydantic.ValidationError):
        part.blame(f"{path} is damaged", REMOVE)
        return
    if result.spec.key != path.stem:
        part.blame(f"{path} holds the run {result.spec.key}", REMOVE)
    model = path.with_suffix(".keras")
    if sha256 is not None and not (model.is_file() and sha256_of(model) == sha256):
        part.blame(f"{model} is not the model of {path.name}", REMOVE)


def _is_operation(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
