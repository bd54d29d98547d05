"""Killed searches: what `make faults` tells right from wrong, held against tiny programs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from optuna.samplers import RandomSampler

from faults.campaign import Point
from faults.signals import (
    DRIVER,
    KILLS,
    TRACKER,
    WORKER,
    Searches,
    after,
    running,
    session,
    strike,
)
from lr_ceiling.execution.journal import load_study
from lr_ceiling.search.sampler import INDEX
from waiting import wait_until

TRIALS = 3
# Writes the lines of a search's journal one by one, beside a worker that ends with it.
SEARCH = """
import signal, subprocess, sys, tempfile, time
from pathlib import Path

whole, _, journal, _, answer = map(Path, sys.argv[1:])
kind = whole.with_name("kind").read_text()
signal.signal(signal.SIGINT, signal.SIG_DFL)
worker = subprocess.Popen(
    ["sh", "-c", "cat; :"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
)
done = journal.read_bytes().count(b"\\n") if journal.exists() else 0
if kind == "hangs":
    time.sleep(60)
if done and kind == "litters":
    tempfile.mkdtemp(prefix="lr-ceiling-")
if done and kind == "fails":
    raise SystemExit("error: no")
lines = whole.read_bytes().splitlines(keepends=True)
if done and kind == "loses":
    lines = lines[:-1]
with journal.open("ab", buffering=0) as file:
    for line in lines[done:]:
        file.write(line)
        time.sleep(0 if kind == "is quick" else 0.05)
answer.write_text("2" if done and kind == "answers" else "1")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    study = load_study(folder / "whole", "study", RandomSampler(seed=0))
    for index in range(TRIALS):
        trial = study.ask()
        trial.set_user_attr(INDEX, index)
        study.tell(trial, 1.0)
    (folder / "kind").write_text("holds")
    return folder


@pytest.fixture(scope="module")
def searches(folder: Path) -> Searches:
    return Searches([sys.executable, "-c", SEARCH, str(folder / "whole")])


def test_ctrl_c_reaches_a_search_that_a_background_job_starts(tmp_path: Path) -> None:
    code = "import signal, sys; sys.exit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with running([sys.executable, "-c", code], tmp_path) as process:
            assert process.wait() == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def left(folder: Path) -> list[int]:
    """The processes of searches that still run."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(folder) in (process / "cmdline").read_bytes():
                found.append(int(process.name))
    return found


def point(fault: str) -> Point:
    return Point("find", "random moment", fault, 0)


@pytest.mark.parametrize("fault", KILLS)
def test_a_search_that_is_killed_and_goes_on_holds(
    fault: str, searches: Searches, folder: Path
) -> None:
    (folder / "kind").write_text("holds")
    assert searches.wrong(point(fault)) is None


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("fails", ": it ends with 1: error: no"),
        ("answers", " has another answer"),
        ("litters", " leaves temporary folders"),
        ("loses", f": the trials that ended are {list(range(TRIALS - 1))}"),
    ],
)
def test_what_the_second_search_does_wrong_is_told(
    kind: str, wrong: str, searches: Searches, folder: Path
) -> None:
    (folder / "kind").write_text(kind)
    assert searches.wrong(point(DRIVER)) == f"the second one{wrong}"


def test_a_search_that_hangs_before_its_kill_is_told_and_ended(
    searches: Searches, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "kind").write_text("hangs")
    monkeypatch.setattr(searches, "patience", 0.5)
    assert searches.wrong(point(DRIVER)) == "before the kill: it hangs"
    assert left(folder) == []


def test_a_search_that_ends_before_its_kill_is_no_try(searches: Searches, folder: Path) -> None:
    (folder / "kind").write_text("is quick")
    with pytest.raises(RuntimeError, match="all of 10 searches ended before the kill"):
        searches.wrong(point(DRIVER))


@pytest.mark.parametrize("fault", KILLS)
def test_a_driver_cannot_end_between_the_look_and_the_kill(fault: str, tmp_path: Path) -> None:
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_DFL); "
        "subprocess.Popen(['sh', '-c', 'cat; :'], stdin=subprocess.PIPE); print(file=sys.stderr)\n"
        f"while not os.path.exists({str(tmp_path / 'end')!r}): time.sleep(0.001)"
    )
    with running([sys.executable, "-c", code], tmp_path) as process:
        assert wait_until(lambda: (tmp_path / "stderr").stat().st_size > 0)

        def is_at_work() -> bool:
            (tmp_path / "end").touch()
            time.sleep(0.1)
            return True

        assert strike(process, fault, is_at_work)
        assert (process.wait(60) == 0) == (fault == WORKER)


def test_a_driver_that_has_ended_or_has_no_work_left_is_not_killed(tmp_path: Path) -> None:
    with running([sys.executable, "-c", "import time; time.sleep(0.3)"], tmp_path) as process:
        assert not strike(process, DRIVER, lambda: False)
        # It goes on, and ends; nobody has asked for its code yet.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not strike(process, DRIVER, lambda: True)
        assert process.returncode == 0


def test_the_resource_trackers_warning_is_known_and_nothing_else() -> None:
    leak = (
        "import multiprocessing, os, signal; lock = multiprocessing.get_context('spawn').Lock(); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", leak]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "leaked semaphore" in said
    assert TRACKER.sub("", said) == ""
    assert TRACKER.sub("", f"{said}error: one line") == "error: one line"


KILLED_DRIVERS = {
    "stops": ("raise SystemExit(1)", None),
    "ignores": ("raise SystemExit(0)", "it ends with 0: "),
    "traceback": ("raise ValueError", "it ends with 1: Traceback"),
    "hangs": ("import time; time.sleep(60)", "it hangs"),
    "orphan": (
        "import subprocess; subprocess.Popen(['sleep', '60']); raise SystemExit(1)",
        "it leaves processes behind",
    ),
}
# One that hangs is waited for.
PATIENCE = dict.fromkeys(KILLED_DRIVERS, 60.0) | {"hangs": 0.5}


@pytest.mark.parametrize("kind", KILLED_DRIVERS)
def test_what_a_stopped_driver_does_wrong_is_told(kind: str, tmp_path: Path) -> None:
    code, wrong = KILLED_DRIVERS[kind]
    with running([sys.executable, "-c", code], tmp_path) as process:
        found = after(
            process, "SIGTERM to the driver", tmp_path, patience=PATIENCE[kind], leaving=0.3
        )
    assert (found or "")[: len(wrong or "")] == (wrong or "")
    assert (found is None) == (wrong is None)
    assert wait_until(lambda: session(process.pid) == [])


@pytest.mark.parametrize("fault", [DRIVER, WORKER])
def test_the_code_of_a_killed_driver_is_that_of_its_kill(fault: str, tmp_path: Path) -> None:
    for code, right in (("import os; os.kill(os.getpid(), 9)", DRIVER), ("pass", WORKER)):
        with running([sys.executable, "-c", code], tmp_path) as process:
            wrong = after(process, fault, tmp_path)
        assert (wrong is None) == (fault == right)
