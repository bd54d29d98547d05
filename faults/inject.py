"""Injects faults with a C library that is compiled from shim.c once and preloaded.

`python -m faults` restarts itself with the library preloaded. A stage then runs in a forked process
in which everything is imported already, so one try takes milliseconds.
"""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lr_ceiling.errors import LrCeilingError

SOURCE = Path(__file__).with_name("shim.c")
# In the order of shim.c.
FAULTS = (
    "none",
    "disk full from there on",
    "I/O error",
    "torn write, then killed",
    "killed before",
    "killed after",
)
POWER_CUT = "power cut after"
# What a try came to.
FINISHED, TOLD, RAISED = 0, 3, 4


@dataclass(frozen=True)
class Operation:
    """One operation on the disk: its kind, its path, and the content before it."""

    kind: str
    path: str
    other: str
    inode: int


@dataclass(frozen=True)
class Try:
    """How a stage with a fault ended: its exit code (negative: a signal) and its output."""

    code: int
    said: str
    operations: tuple[Operation, ...]


def preloaded() -> bool:
    """Whether the library is preloaded in this process."""
    return hasattr(ctypes.CDLL(None), "faults_arm")


def compile_layer(folder: Path) -> Path:
    """Compile the library if it is missing. Raises LrCeilingError without a C compiler."""
    name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:16]
    library = folder / f"faults-{name}.so"
    if library.exists():
        return library
    compiler = shutil.which("cc")
    if compiler is None:
        raise LrCeilingError("there is no C compiler (cc): install one, such as gcc")
    folder.mkdir(parents=True, exist_ok=True)
    made = library.with_suffix(f".{os.getpid()}.partial")
    command = [compiler, "-shared", "-fPIC", "-O1", str(SOURCE), "-o", str(made), "-ldl"]
    subprocess.run(command, check=True)
    made.replace(library)
    return library


def start_anew(folder: Path, under: Sequence[str] = ()) -> None:
    """Restart this program with the library preloaded, by means of the command `under`."""
    os.environ["LD_PRELOAD"] = str(compile_layer(folder))
    command = [*under, sys.executable, *sys.orig_argv[1:]]
    os.execvp(command[0], command)


def attempt(stage: Callable[[], None], folder: Path, fault: str = "none", at: int = 0) -> Try:
    """Run a stage in `folder` in its own process, and let its `at`th operation on the disk fail.

    After a power cut the folder contains only what was synced.
    """
    with tempfile.TemporaryDirectory() as aside:
        said, trace, shadow = (Path(aside) / name for name in ("said", "trace", "shadow"))
        shadow.mkdir()
        process = os.fork()
        if process == 0:
            _live(stage, folder, fault, at, said, trace, shadow)
        _, status = os.waitpid(process, 0)
        operations = tuple(map(_operation, trace.read_text().splitlines()))
        if fault == POWER_CUT:
            _lose_unsynced(folder, operations, shadow)
        text = said.read_text() if said.exists() else ""
        return Try(os.waitstatus_to_exitcode(status), text, operations)


def _live(
    stage: Callable[[], None],
    folder: Path,
    fault: str,
    at: int,
    said: Path,
    trace: Path,
    shadow: Path,
) -> None:
    code = RAISED
    layer = ctypes.CDLL(None)
    try:
        os.chdir(folder)
        log = os.open(trace, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        errors = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(errors, 2)
        number = FAULTS.index("killed after" if fault == POWER_CUT else fault)
        if fault == POWER_CUT:
            # What was there before is on the disk.
            for path in filter(Path.is_file, folder.rglob("*")):
                shutil.copyfile(path, shadow / str(path.stat().st_ino))
            layer.faults_shadow(os.fsencode(shadow))
        layer.faults_arm(os.fsencode(folder), ctypes.c_long(at), number, log)
        stage()
        code = FINISHED
    except LrCeilingError as error:
        layer.faults_arm(b"", ctypes.c_long(0), 0, -1)
        os.write(2, f"error: {error}\n".encode())
        code = TOLD
    except BaseException:
        layer.faults_arm(b"", ctypes.c_long(0), 0, -1)
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _operation(line: str) -> Operation:
    kind, path, other, inode = line.split("\t")
    return Operation(kind, path, other, int(inode))


def _lose_unsynced(folder: Path, operations: tuple[Operation, ...], shadow: Path) -> None:
    """Undo what a power cut may lose: content and renames that were not synced."""
    renamed: dict[Path, int] = {}
    for operation in operations:
        path = folder / operation.path
        if operation.kind == "rename":
            renamed.setdefault(path, operation.inode)
        elif operation.kind == "fsync":
            renamed = {new: inode for new, inode in renamed.items() if new.parent != path}
    written = {folder / one.path for one in operations if one.kind in ("write", "rename")}
    for path in filter(Path.is_file, written):
        kept = shadow / str(path.stat().st_ino)
        path.write_bytes(kept.read_bytes() if kept.exists() else b"")
    for path, inode in renamed.items():
        former = shadow / str(inode)
        if former.exists():
            path.write_bytes(former.read_bytes())
        else:
            path.unlink(missing_ok=True)
