"""The local executor: processes forked from a server that has imported their modules.

docs/engine.md has measurements with TensorFlow on two cores. Workers exit when the driver exits.
"""

import contextlib
import importlib
import itertools
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import types
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.scratch import Scratch

# Seconds between checks of the parent process.
POLL = 0.5
CGROUP = Path("/sys/fs/cgroup")

# Read at import: once the parent is gone, the parent's number is that of another process.
PARENT = os.getppid()

_failure: BaseException | None = None

_Start = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)


class _Process(_Start.Process):  # type: ignore[name-defined, misc]
    """A process that does not import the driver's main module, and starts wholly or not at all.

    The standard process imports it again, so a script without `if __name__ == "__main__"` would
    start a search in each process. Problems defined in the main module are sent by cloudpickle.
    """

    def start(self) -> None:
        """Start the process. Ctrl-C and SIGTERM are obeyed after that, a second one at once.

        A process whose start is interrupted is unknown to its executor. It would outlive the
        driver's semaphores and print a traceback.
        """
        try:
            with _held_back(signal.SIGINT, signal.SIGTERM):
                _start_server()
                super().start()
        except BaseException:
            if self.pid is not None:
                self.kill()
            raise

    @staticmethod
    def _Popen(process: multiprocessing.process.BaseProcess) -> object:  # noqa: N802
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            return _Start.Process._Popen(process)  # type: ignore[attr-defined]
        finally:
            sys.modules["__main__"] = main


def _start_server() -> None:
    """Start the server of processes, if it does not run yet, so that Ctrl-C never reaches it.

    Ctrl-C reaches the whole process group. While the server imports its modules, it would end with
    a traceback.
    """
    if _Start.get_start_method() == "forkserver":
        # Imported here because Windows has none.
        from multiprocessing import forkserver

        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            # The server and its processes inherit the mask.
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _held_back(*numbers: int) -> Iterator[None]:
    """Hold back the first of these signals until the block ends, in the main thread.

    A second one is obeyed at once.
    """
    came: list[int] = []
    # Python handles signals in the main thread alone.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in numbers}
    # An ignored signal stays ignored, and a handler that is not Python's (None) can't be put back.
    held = [n for n, handler in before.items() if handler not in (None, signal.SIG_IGN)]

    def note(number: int, frame: types.FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            return
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    try:
        for number in held:
            signal.signal(number, note)
        yield
    finally:
        with contextlib.ExitStack() as stack:
            for number in held:
                # Even if the handler of another one, put back already, raises meanwhile.
                stack.callback(signal.signal, number, before[number])
        for number in came[:1]:
            signal.raise_signal(number)


class _Context(type(_Start)):  # type: ignore[misc]
    Process = _Process


# The server forks before it has threads, while forking the driver would copy locks that are held.
# On systems without fork, new processes are spawned.
CONTEXT = _Context()


def cores() -> int:
    """Number of cores that this process may use, by its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    quota = cpu_quota(CGROUP)
    return max(1, min(allowed or 1, math.ceil(quota) if quota else allowed or 1))


def cpu_quota(cgroup: Path) -> float | None:
    """Cores that the control group mounted at `cgroup` may use; None if it sets no limit."""
    try:
        # Version 2: "max 100000" or "150000 100000", in microseconds.
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        return float(quota) / float(period) if float(quota) > 0 else None
    except ValueError:
        return None


def local_executor(
    processes: int | None = None,
    prepared_by: str | None = None,
    devices: Sequence[str] | None = None,
) -> Executor:
    """An executor of local processes, by default one per core, or one per device if there are any.

    `prepared_by` names a module. The server imports it before it forks, and each process calls its
    `prepare()` first. An error of `prepare()` is raised by the process's first task as a
    WorkerError. `devices` are names of GPUs: each process gets its own in CUDA_VISIBLE_DEVICES
    before `prepare()`. If there are more processes than GPUs, they share them evenly.
    """
    if prepared_by:
        CONTEXT.set_forkserver_preload([prepared_by])
    count = processes or len(devices or ()) or cores()
    handed_out = _line(devices, count) if devices else None
    # Removed with the executor: forked processes end without `atexit`, so TensorFlow can't remove
    # the source files that autograph writes.
    scratch = Scratch()
    executor = ProcessPoolExecutor(count, CONTEXT, _begin, (prepared_by, handed_out, scratch.name))
    weakref.finalize(executor, scratch.cleanup)
    return executor


def kill(executor: Executor) -> None:
    """End the processes of this executor at once, and no others."""
    for process in dict(getattr(executor, "_processes", None) or {}).values():
        # The server reaps its processes, so the number may belong to another process by now.
        if process.is_alive():
            process.kill()


def check_worker() -> None:
    """Raise WorkerError if this process could not be prepared."""
    if _failure is not None:
        reason = " ".join(str(_failure).split()) or "no reason given"
        raise WorkerError(f"a worker can't start: {type(_failure).__name__}: {reason}")


def end_with_parent() -> None:
    """End this process as soon as its parent is gone.

    Stages need this: a killed DVC leaves its stage running, and it would disturb the next
    `dvc repro`.
    """
    threading.Thread(target=_watch, args=(PARENT,), daemon=True).start()


def _line(devices: Sequence[str], processes: int) -> "SimpleQueue[str]":
    """A queue from which each process takes its device."""
    line: SimpleQueue[str] = CONTEXT.SimpleQueue()
    for device in itertools.islice(itertools.cycle(devices), processes):
        line.put(device)
    return line


def _begin(prepared_by: str | None, devices: "SimpleQueue[str] | None", scratch: str) -> None:
    global _failure
    tempfile.tempdir = scratch
    # Ctrl-C reaches the whole process group, but only the driver handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    driver = multiprocessing.parent_process()
    if driver is not None:
        threading.Thread(target=_end_after, args=(driver.sentinel,), daemon=True).start()
    try:
        if devices is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = devices.get()
        if prepared_by:
            prepare: Callable[[], None] = importlib.import_module(prepared_by).prepare
            prepare()
    # If it were raised here, it would be reported as a killed process.
    except BaseException as error:
        _failure = error


def _end_after(sentinel: int) -> None:
    # The sentinel is ready when the driver is gone, for any reason.
    wait([sentinel])
    os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os._exit(1)
