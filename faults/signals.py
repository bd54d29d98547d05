"""Real faults: a search and its workers are killed at random moments, and started again.

A try passes if the killed search printed at most one line and left no process, and if the second
search gave the answer of an undisturbed one, from a journal in which each trial ended once.

A driver that gets SIGKILL can't remove its semaphores. Python's resource tracker, a process that
outlives the driver, removes them and prints a warning. Only these lines are allowed in addition,
and only after SIGKILL.
"""

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from faults.campaign import Point
from lr_ceiling.search.sampler import INDEX

ROOT = Path(__file__).parents[1]
COMMAND = (
    "find faults/network.py:network --low 1e-3 --high 1 --budget 2 --confirmations 0 --usable 0 "
    "--workers 2 --quiet"
)
# The name of these searches among the stages.
FIND = "find"
DRIVER = "kill -9 of the driver"
WORKER = "kill -9 of a worker"
# The warning of multiprocessing/resource_tracker.py, with its line of source.
TRACKER = re.compile(
    r"^.*/resource_tracker\.py:\d+: UserWarning: resource_tracker: There appear to be \d+ leaked "
    r"\w+ objects to clean up at shutdown.*\n  warnings\.warn\(.*\n?",
    re.MULTILINE,
)
# A search that takes longer after a kill hangs.
PATIENCE_SECONDS = 600
# About as long as a run.
JITTER_SECONDS = 0.1
POLL_SECONDS = 0.005


def _driver(signum: int) -> Callable[[int], None]:
    return lambda process: os.kill(process, signum)


def _keyboard(process: int) -> None:
    # Ctrl-C reaches all of the terminal's processes.
    os.killpg(process, signal.SIGINT)


def _worker(process: int) -> None:
    os.kill(_workers(process)[0], signal.SIGKILL)


KILLS: dict[str, Callable[[int], None]] = {
    DRIVER: _driver(signal.SIGKILL),
    "SIGTERM to the driver": _driver(signal.SIGTERM),
    "Ctrl-C": _keyboard,
    WORKER: _worker,
}


def points(count: int) -> Iterator[Point]:
    """`count` random moments for each kind of kill."""
    return (Point(FIND, "random moment", fault, at) for at in range(count) for fault in KILLS)


class Searches:
    """The undisturbed search, to which the others are compared."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            code, said = self._finish(self._start(Path(folder)))
            if code:
                raise RuntimeError(said)
            self._answer = json.loads((Path(folder) / "answer.json").read_text())
            self._trials = _ended_trials(Path(folder) / "journal")
            self._lines = _lines(Path(folder) / "journal")

    def wrong(self, point: Point) -> str | None:
        """The promise that was broken at a point; None if all were kept."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            process = self._start(folder)
            self._await_moment(process, point, folder / "journal")
            # The driver that is gone has no children to be found by.
            started = [process.pid, *_below(process.pid)]
            # It may have ended by itself meanwhile, and a worker with it.
            with contextlib.suppress(ProcessLookupError, IndexError):
                KILLS[point.fault](process.pid)
            code, said = self._finish(process)
            if point.fault == DRIVER:
                said = TRACKER.sub("", said)
            if "Traceback" in said or len(said.splitlines()) > 1:
                return f"it ends with {code}: {said[-500:]}"
            if point.fault == WORKER and code:
                return f"it ends with {code}: {said[-500:]}"
            if not _wait(lambda: not any(map(_is_alive, started)), 30):
                return "it leaves processes behind"
            code, said = self._finish(self._start(folder))
            if code:
                return f"the second one ends with {code}: {said[-500:]}"
            if json.loads((folder / "answer.json").read_text()) != self._answer:
                return "the second one has another answer"
            if _ended_trials(folder / "journal") != self._trials:
                return f"the trials that ended are {_ended_trials(folder / 'journal')}"
        return None

    def _await_moment(self, process: "subprocess.Popen[str]", point: Point, journal: Path) -> None:
        """Wait until the journal has a random length, and then a little longer."""
        chance = random.Random(f"{point.fault} {point.at}")
        lines = chance.randrange(1, self._lines + 1)
        _wait(
            lambda: (
                process.poll() is not None
                or (
                    _lines(journal) >= lines
                    and (point.fault != WORKER or bool(_workers(process.pid)))
                )
            ),
            PATIENCE_SECONDS,
        )
        time.sleep(chance.random() * JITTER_SECONDS)

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


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def _ended_trials(journal: Path) -> list[int]:
    """The indices of the ended trials; a trial that ended twice appears twice."""
    storage = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id, states=[TrialState.COMPLETE])
    return sorted(trial.user_attrs[INDEX] for trial in trials)


def _workers(process: int) -> list[int]:
    """The worker processes of this driver."""
    return [worker for child in _children(process) for worker in _children(child)]


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
