"""The local executor: as many processes as the container may use."""

import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from lr_ceiling.execution import executor
from lr_ceiling.execution.executor import cores, cpu_quota, local_executor
from waiting import wait_until

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
PREPARATION = """
import os
import time

seen = None


def prepare():
    global seen
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")


def device(seconds):
    time.sleep(seconds)
    return os.getpid(), seen, os.environ.get("CUDA_VISIBLE_DEVICES")
"""
SCRIPT = """
import json
import sys

import preparation
from lr_ceiling.execution.executor import local_executor

processes, devices = json.loads(sys.argv[1])
with local_executor(processes, "preparation", devices) as executor:
    futures = [executor.submit(preparation.device, 0.3) for _ in range(8)]
    print(json.dumps([future.result() for future in futures]))
"""


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
)
def test_a_container_limits_cores(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_quota(tmp_path) == expected


def test_cores_are_those_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "CGROUP", tmp_path)
    # macOS and Windows have none.
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    assert cores() == 8
    (tmp_path / "cpu.max").write_text("250000 100000")
    assert cores() == 3
    (tmp_path / "cpu.max").write_text("10000 100000")
    assert cores() == 1


@pytest.mark.parametrize(
    ("processes", "devices", "expected"),
    [
        (None, ["3", "GPU-5a"], ["3", "GPU-5a"]),
        (3, ["3", "GPU-5a"], ["3", "3", "GPU-5a"]),
        (1, ["3", "GPU-5a"], ["3"]),
        (2, None, ["7", "7"]),
        (2, [], ["7", "7"]),
    ],
)
def test_each_process_gets_a_device_before_it_is_prepared(
    processes: int | None, devices: list[str] | None, expected: list[str], tmp_path: Path
) -> None:
    (tmp_path / "preparation.py").write_text(PREPARATION)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", json.dumps([processes, devices])],
        cwd=tmp_path,
        env=os.environ
        | {
            "CUDA_VISIBLE_DEVICES": "7",
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = {process: (prepared, now) for process, prepared, now in json.loads(done.stdout)}
    assert sorted(prepared for prepared, _ in seen.values()) == expected
    assert all(prepared == now for prepared, now in seen.values())


def test_what_a_process_leaves_in_its_temporary_folder_goes_with_the_executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with local_executor(1) as started:
        left = Path(started.submit(tempfile.mkdtemp).result())
        assert left.is_dir()
        assert left.is_relative_to(tmp_path)
    del started
    gc.collect()
    # The server of all executors has a folder of its own there, if it began just now.
    assert not list(tmp_path.glob("lr-ceiling-*"))


SLOW = """
import time
from pathlib import Path

Path("importing").touch()
time.sleep(2)


def prepare():
    pass
"""
STOPPED = """
import signal

from lr_ceiling.execution.executor import kill, local_executor

signal.signal(signal.SIGTERM, signal.default_int_handler)
executor = local_executor(2, "slow")
try:
    executor.submit(abs, -1).result()
except KeyboardInterrupt:
    kill(executor)
    executor.shutdown()
    print("stopped")
"""


@POSIX
@pytest.mark.parametrize("to_all", [True, False], ids=["Ctrl-C", "SIGTERM"])
def test_a_driver_that_is_stopped_while_processes_start_says_one_line(
    to_all: bool, tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "script.py").write_text(STOPPED)
    driver = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_until((tmp_path / "importing").exists)
    if to_all:
        os.killpg(driver.pid, signal.SIGINT)
    else:
        driver.terminate()
    # The pipes end with the last process that was started.
    assert driver.communicate(timeout=300) == ("stopped\n", "")
    assert driver.returncode == 0


@POSIX
def test_an_ignored_signal_takes_no_others_place() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with executor._held_back(signal.SIGUSR1, signal.SIGUSR2):
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGUSR2)
            assert heard == []
        assert heard == [signal.SIGUSR2]
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)


@POSIX
def test_a_signal_that_comes_while_handlers_are_put_back_keeps_none_of_them_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    put_back = signal.signal

    def interrupted(number: int, handler: object) -> object:
        found = put_back(number, handler)  # type: ignore[arg-type]
        if handler is stopped:
            signal.raise_signal(number)
        return found

    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    signal.signal(signal.SIGUSR2, stopped)
    try:
        with pytest.raises(KeyboardInterrupt), executor._held_back(signal.SIGUSR1, signal.SIGUSR2):
            monkeypatch.setattr(signal, "signal", interrupted)
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    finally:
        monkeypatch.undo()
        signal.signal(signal.SIGUSR1, before)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)


@POSIX
def test_a_second_signal_without_a_handler_ends_the_process_at_once() -> None:
    script = """
import signal
from lr_ceiling.execution.executor import _held_back
with _held_back(signal.SIGINT, signal.SIGTERM):
    signal.raise_signal(signal.SIGTERM)
    print("held", flush=True)
    signal.raise_signal(signal.SIGTERM)
    print("ignored", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "held\n", "")
