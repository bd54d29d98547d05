"""Faults for real: a search with its workers is killed at random moments, and run again.

It held if the killed search said no more than one line, the second one finished with the quiet
one's answer, and no process was left.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.campaign import Point

ROOT = Path(__file__).parents[1]
COMMAND = (
    "find faults/network.py:network --low 1e-3 --high 1 --budget 2 --confirmations 0 --usable 0 "
    "--workers 2 --quiet"
)
# A search that takes longer after a kill hangs.
PATIENCE_SECONDS = 600


def _driver(signum: int) -> Callable[[int], None]:
    return lambda process: os.kill(process, signum)


def _keyboard(process: int) -> None:
    # Ctrl-C reaches all of the terminal's processes.
    os.killpg(process, signal.SIGINT)


def _worker(process: int) -> None:
    below = [child for child in _below(process) if _children(child)] or list(_below(process))
    for child in ((below and _children(below[-1])) or below)[:1]:
        os.kill(child, signal.SIGKILL)


KILLS: dict[str, Callable[[int], None]] = {
    "kill -9 of the driver": _driver(signal.SIGKILL),
    "SIGTERM to the driver": _driver(signal.SIGTERM),
    "Ctrl-C": _keyboard,
    "kill -9 of a worker": _worker,
}


def points(count: int) -> Iterator[Point]:
    """`count` random moments of each kind."""
    return (Point("find", "random moment", fault, at) for at in range(count) for fault in KILLS)


class Searches:
    """A quiet search to hold others against."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            begun = time.monotonic()
            code, said = self._finish(self._start(Path(folder)))
            self._seconds = time.monotonic() - begun
            if code:
                raise RuntimeError(said)
            self._answer = json.loads((Path(folder) / "answer.json").read_text())

    def wrong(self, point: Point) -> str | None:
        """What did not hold at a point; None where all did."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            process = self._start(folder)
            moment = random.Random(f"{point.fault} {point.at}").random() * self._seconds
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                _try(lambda: KILLS[point.fault](process.pid))
            started = [process.pid, *_below(process.pid)]
            code, said = self._finish(process)
            if "Traceback" in said or len(said.splitlines()) > 1:
                return f"it ends with {code}: {said[-500:]}"
            if point.fault == "kill -9 of a worker" and code:
                return f"it ends with {code}: {said[-500:]}"
            end = time.monotonic() + 30
            while any(map(_is_alive, started)) and time.monotonic() < end:
                time.sleep(0.1)
            if any(map(_is_alive, started)):
                return "it leaves processes behind"
            code, said = self._finish(self._start(folder))
            if code:
                return f"the second one ends with {code}: {said[-500:]}"
            if json.loads((folder / "answer.json").read_text()) != self._answer:
                return "the second one has another answer"
        return None

    def _start(self, folder: Path) -> "subprocess.Popen[str]":
        places = ["--storage", str(folder / "journal"), "--json", str(folder / "answer.json")]
        return subprocess.Popen(
            [sys.executable, "-m", "lr_ceiling.pipeline.cli", *COMMAND.split(), *places],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
            start_new_session=True,
        )

    @staticmethod
    def _finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
        try:
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -1, "it hangs"
        return process.returncode, said.strip()


def _try(kill: Callable[[], None]) -> None:
    # It may have ended by itself meanwhile.
    with contextlib.suppress(ProcessLookupError):
        kill()


def _children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    try:
        return [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []


def _below(process: int) -> Iterator[int]:
    for child in _children(process):
        yield child
        yield from _below(child)


def _is_alive(process: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
