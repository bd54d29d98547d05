"""Real faults: a search and its workers are killed at random moments, and started again.

A try passes if the killed search ended because of the kill, printed at most one line and left no
process, and if the second search gave the answer of an undisturbed one, from a journal in which
each trial ended once. A search that ends before the kill is no try: another moment is taken.

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
# Its workers see that the driver is gone within half a second, on a quiet machine.
LEAVING_SECONDS = 30
# In the journal, the end of a trial.
TRIAL_ENDS = b'"op_code":6'
# Moments that are tried, in case the search ends before them.
MOMENTS = 10
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
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            wrong = after_kill(_start(folder), WORKER, folder)
            if wrong:
                raise RuntimeError(wrong)
            self._answer = json.loads((folder / "answer.json").read_text())
            self._trials = _ended_trials(folder / "journal")
            self._journal = (folder / "journal").read_bytes()

    def wrong(self, point: Point) -> str | None:
        """The promise that was broken at a point; None if all were kept."""
        chance = random.Random(f"{point.fault} {point.at}")
        for _ in range(MOMENTS):
            with tempfile.TemporaryDirectory() as name:
                process = _start(Path(name))
                if self._strike(process, point.fault, Path(name) / "journal", chance):
                    return after_kill(process, point.fault, Path(name)) or self._again(Path(name))
                process.wait(PATIENCE_SECONDS)
        raise RuntimeError(f"{point}: all of {MOMENTS} searches ended before the kill")

    def _strike(
        self,
        process: "subprocess.Popen[bytes]",
        fault: str,
        journal: Path,
        chance: random.Random,
    ) -> bool:
        """Kill when the journal has a random length. Whether there was something left to kill."""
        lines = chance.randrange(1, self._journal.count(b"\n"))

        def is_reached() -> bool:
            return _read(journal).count(b"\n") >= lines and (
                fault != WORKER or bool(_workers(process.pid))
            )

        _wait(lambda: process.poll() is not None or is_reached(), PATIENCE_SECONDS)
        time.sleep(chance.random() * JITTER_SECONDS)
        has_ended = _read(journal).count(TRIAL_ENDS) >= self._journal.count(TRIAL_ENDS)
        if process.poll() is not None or has_ended or not is_reached():
            return False
        # A worker may be gone since.
        try:
            KILLS[fault](process.pid)
        except (ProcessLookupError, IndexError):
            return False
        return True

    def _again(self, folder: Path) -> str | None:
        """What is wrong with the search that goes on after a kill."""
        wrong = after_kill(_start(folder), WORKER, folder)
        if wrong:
            return f"the second one: {wrong}"
        if json.loads((folder / "answer.json").read_text()) != self._answer:
            return "the second one has another answer"
        if _ended_trials(folder / "journal") != self._trials:
            return f"the trials that ended are {_ended_trials(folder / 'journal')}"
        return None


def after_kill(
    process: "subprocess.Popen[bytes]",
    fault: str,
    folder: Path,
    patience: float = PATIENCE_SECONDS,
    leaving: float = LEAVING_SECONDS,
) -> str | None:
    """What a killed driver does wrong: it hangs, or leaves processes, or ends in another way.

    `process` leads a session, and its stderr is `folder`/stderr. After the kill of a worker, the
    driver must finish.
    """
    code, is_alone = None, False
    with contextlib.suppress(subprocess.TimeoutExpired):
        code = process.wait(patience)
        is_alone = _wait(lambda: not _session(process.pid), leaving)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if code is None:
        process.wait()
        return "it hangs"
    if not is_alone:
        return "it leaves processes behind"
    said = (folder / "stderr").read_text().strip()
    if fault == DRIVER:
        said = TRACKER.sub("", said)
    is_right = {WORKER: code == 0, DRIVER: code == -signal.SIGKILL}.get(fault, code != 0)
    if "Traceback" in said or len(said.splitlines()) > 1 or not is_right:
        return f"it ends with {code}: {said[-500:]}"
    return None


def _start(folder: Path) -> "subprocess.Popen[bytes]":
    places = ["--storage", str(folder / "journal"), "--json", str(folder / "answer.json")]
    with (folder / "stderr").open("wb") as stderr:
        return subprocess.Popen(
            [sys.executable, "-m", "lr_ceiling.pipeline.cli", *COMMAND.split(), *places],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
            start_new_session=True,
        )


def _wait(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _read(journal: Path) -> bytes:
    return journal.read_bytes() if journal.exists() else b""


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


def _session(leader: int) -> list[int]:
    """The living processes of the session that this process leads or led."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # After the name, in brackets: state, parent, group, session.
            state, _, _, session = path.read_text().rpartition(") ")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found
