"""Real faults: a search and its workers are killed at random moments, and started again.

A try passes if the killed search ended because of the kill, printed at most one line and left no
process, and if the second search gave the answer of an undisturbed one, from a journal in which
each trial ended once. A search that ends before the kill is no try: another moment is taken. It
must end well, too.

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from faults.campaign import Point
from lr_ceiling.search.sampler import INDEX

ROOT = Path(__file__).parents[1]
COMMAND = (
    *(sys.executable, "-m", "lr_ceiling.pipeline.cli", "find", "faults/network.py:network"),
    *("--low", "1e-3", "--high", "1", "--budget", "2", "--confirmations", "0", "--usable", "0"),
    *("--workers", "2", "--quiet"),
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
PATIENCE_SECONDS = 600.0
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

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.patience = PATIENCE_SECONDS
        self._command = command
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            wrong = self._wrong_alone(folder)
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
                folder = Path(name)
                with self._running(folder) as process:
                    killed = self._strike(process, point.fault, folder / "journal", chance)
                    wrong = after(process, point.fault if killed else None, folder, self.patience)
                if killed:
                    return wrong or self._again(folder)
                if wrong:
                    return f"before the kill: {wrong}"
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

        def is_at_work() -> bool:
            ended = _read(journal).count(TRIAL_ENDS)
            return is_reached() and ended < self._journal.count(TRIAL_ENDS)

        _wait(lambda: process.poll() is not None or is_reached(), self.patience)
        time.sleep(chance.random() * JITTER_SECONDS)
        return strike(process, fault, is_at_work)

    def _running(self, folder: Path) -> "AbstractContextManager[subprocess.Popen[bytes]]":
        places = ["--storage", str(folder / "journal"), "--json", str(folder / "answer.json")]
        return running([*self._command, *places], folder)

    def _wrong_alone(self, folder: Path) -> str | None:
        """What is wrong with a search that nobody kills."""
        with self._running(folder) as process:
            return after(process, None, folder, self.patience)

    def _again(self, folder: Path) -> str | None:
        """What is wrong with the search that goes on after a kill."""
        wrong = self._wrong_alone(folder)
        if wrong:
            return f"the second one: {wrong}"
        if json.loads((folder / "answer.json").read_text()) != self._answer:
            return "the second one has another answer"
        if list(folder.glob("lr-ceiling-*")):
            return "the second one leaves temporary folders"
        if _ended_trials(folder / "journal") != self._trials:
            return f"the second one: the trials that ended are {_ended_trials(folder / 'journal')}"
        return None


def strike(process: "subprocess.Popen[bytes]", fault: str, is_at_work: Callable[[], bool]) -> bool:
    """Kill a driver, or its worker, if it `is_at_work`. Whether it was.

    The driver stands still meanwhile, so it can't end between the look and the kill.
    """
    if process.poll() is not None:
        return False
    os.kill(process.pid, signal.SIGSTOP)
    # Until all its threads stand still, or it is gone.
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    try:
        if process.poll() is not None or not is_at_work():
            return False
        KILLS[fault](process.pid)
    # A worker may be gone since.
    except (ProcessLookupError, IndexError):
        return False
    finally:
        process.send_signal(signal.SIGCONT)
    return True


def after(
    process: "subprocess.Popen[bytes]",
    fault: str | None,
    folder: Path,
    patience: float = PATIENCE_SECONDS,
    leaving: float = LEAVING_SECONDS,
) -> str | None:
    """What a driver does wrong after a kill: it hangs, leaves processes, or ends in another way.

    `process` is one of `running`. Without a fault, and after the kill of a worker, it must finish.
    """
    try:
        code = process.wait(patience)
    except subprocess.TimeoutExpired:
        return "it hangs"
    if not _wait(lambda: not session(process.pid), leaving):
        return "it leaves processes behind"
    said = (folder / "stderr").read_text().strip()
    if fault == DRIVER:
        said = TRACKER.sub("", said)
    finished = code == 0
    is_right = {None: finished, WORKER: finished, DRIVER: code == -signal.SIGKILL}
    if "Traceback" in said or len(said.splitlines()) > 1 or not is_right.get(fault, not finished):
        return f"it ends with {code}: {said[-500:]}"
    return None


@contextlib.contextmanager
def running(command: Sequence[str], folder: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """A process with a session of its own, whose stderr and temporary files are in `folder`.

    In the end the session is killed, so that nothing is left running.
    """
    # A shell's background jobs ignore Ctrl-C, and so would all that they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
            | {"TMPDIR": str(folder)},
            start_new_session=True,
        )
    signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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


def session(leader: int) -> list[int]:
    """The living processes of the session that this process leads or led."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # After the name, in brackets: state, parent, group, session.
            state, _, _, session = path.read_text().rpartition(") ")[2].split()[:4]
            if int(session) == leader and state != "Z":
                found.append(int(path.parent.name))
    return found
