"""Where runs execute: local processes of one thread each, which outlive neither work nor driver.

A worker is a pure function of its task and writes to no database. The operating system may kill
one at any time, which breaks its whole process pool: the pool is made anew and the runs that were
in flight are submitted again.
"""

import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from ctypes import Array, c_longlong
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from lr_ceiling.errors import WorkerError
from lr_ceiling.runs import RunResult, RunSpec

# A run that breaks the pool this often is not unlucky.
ATTEMPTS = 3
# Seconds between a worker's looks at its parent, and between the driver's looks at the progress.
POLL = 0.5
# Progress is kept for this many tasks at once; the oldest slot is used again.
SLOTS = 4096
# Two single-threaded trainings side by side do nearly twice the work of one with two threads, and
# their arithmetic is deterministic. No GPU: no result may depend on the machine having one.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "-1",
}


# A forked process would share the driver's locks, some of them held.
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Task:
    """One run to execute: its spec, its data, and what to keep of it besides the result."""

    spec: RunSpec
    splits: Path
    model: Path | None = None
    test: bool = False


@dataclass(frozen=True)
class Ended:
    """A task that ended: its result, when it started (seconds since 1970), how long it took."""

    task: Task
    result: RunResult
    started: float
    seconds: float


@dataclass(frozen=True)
class _Flight:
    task: Task
    slot: int
    attempt: int


class Workers:
    """Executes tasks; a context manager. Tasks go in by `submit`, results come by `completed`.

    `processes` is how many run at once, by default one a core. `on_steps` is told, about twice a
    second, how many optimizer steps have been taken since the start. `needed_later` names modules
    that the driver will import after the runs: it begins with that while they train.
    """

    def __init__(
        self,
        processes: int | None = None,
        on_steps: Callable[[int], None] | None = None,
        needed_later: Sequence[str] = (),
    ) -> None:
        self._processes = processes or cores()
        self._on_steps = on_steps or (lambda steps: None)
        self._needed_later = needed_later
        self._imports: threading.Thread | None = None
        # Without a lock: a worker that is killed while it holds one would stop all others.
        self._progress: Array[c_longlong] = SPAWN.RawArray("q", SLOTS)
        self._submitted = 0
        self._steps_done = 0
        self._waiting: deque[_Flight] = deque()
        self._flights: dict[Future[Ended], _Flight] = {}
        # DVC that is killed leaves its stage behind, which the next `dvc repro` would meet.
        if "DVC_ROOT" in os.environ:
            threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
        self._executor = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._kill()
        self._executor.shutdown(cancel_futures=True)
        # Two threads that import parts of one package from different ends may meet a deadlock.
        if error is None and self._imports:
            self._imports.join()

    def submit(self, task: Task) -> None:
        """Start `task` as soon as a worker is free."""
        slot = self._submitted % SLOTS
        self._submitted += 1
        self._waiting.append(_Flight(task, slot, attempt=1))
        self._launch()

    def completed(self) -> Ended:
        """Wait for any submitted task to end; each is given once.

        Raises WorkerError for a run that ended its process three times, and what a run raised.
        """
        if not self._flights:
            raise ValueError("nothing is under way")
        while True:
            done, _ = wait(self._flights, timeout=POLL, return_when=FIRST_COMPLETED)
            steps = self._steps_done + sum(self._progress_of_flights())
            self._on_steps(steps)
            # Not before: the workers' own start would be slowed.
            if steps and self._needed_later and not self._imports:
                self._imports = threading.Thread(target=_import, args=(self._needed_later,))
                self._imports.start()
            for future in done:
                if isinstance(future.exception(), BrokenProcessPool):
                    self._restart()
                    break
                self._flights.pop(future)
                self._launch()
                ended = future.result()
                self._steps_done += ended.result.steps
                return ended

    def execute(self, tasks: Sequence[Task]) -> list[Ended]:
        """Execute `tasks` and give them in their own order, whichever ended first."""
        for task in tasks:
            self.submit(task)
        ended = {done.task: done for done in (self.completed() for _ in tasks)}
        return [ended[task] for task in tasks]

    def _progress_of_flights(self) -> list[int]:
        return [self._progress[flight.slot] for flight in self._flights.values()]

    def _start(self) -> ProcessPoolExecutor:
        return pool(self._processes, self._progress)

    def _launch(self) -> None:
        # No more than run at once: what a killed worker takes with it was really under way.
        while self._waiting and len(self._flights) < self._processes:
            flight = self._waiting.popleft()
            self._progress[flight.slot] = 0
            try:
                future = self._executor.submit(_execute, flight.task, flight.slot)
            except BrokenProcessPool:
                # A worker died while none was waited for; this flight has not been tried yet.
                self._waiting.appendleft(flight)
                self._restart()
                return
            self._flights[future] = flight

    def _restart(self) -> None:
        self._executor.shutdown()
        broken = {
            future: flight
            for future, flight in self._flights.items()
            if isinstance(future.exception(), BrokenProcessPool)
        }
        for future, flight in broken.items():
            if flight.attempt == ATTEMPTS:
                raise WorkerError(
                    f"a worker process was killed {ATTEMPTS} times while {flight.task.spec.name} "
                    "was under way: free some memory or set workers.processes in params.yaml lower"
                )
            del self._flights[future]
            self._waiting.append(_Flight(flight.task, flight.slot, flight.attempt + 1))
        self._executor = self._start()
        self._launch()

    def _kill(self) -> None:
        for process in SPAWN.active_children():
            process.kill()


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pool(
    processes: int | None = None, progress: "Array[c_longlong] | None" = None
) -> ProcessPoolExecutor:
    """Processes of one thread of TensorFlow each, by default one a core; they end with this one.

    What they execute may tell how far it is in `progress`.
    """
    return ProcessPoolExecutor(processes or cores(), SPAWN, _begin, (os.getpid(), progress))


_progress: "Array[c_longlong]"


def _begin(driver: int, progress: "Array[c_longlong] | None") -> None:
    global _progress
    if progress is not None:
        _progress = progress
    # Ctrl-C reaches the whole process group; the driver alone decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(driver,), daemon=True).start()
    os.environ.update(ENVIRONMENT)

    with muted_stderr():
        from lr_ceiling import training  # imports TensorFlow, which reads the environment

        training.configure()


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Nothing that is written to stderr inside is seen."""
    # TensorFlow's libraries greet people on stderr, from C, before they read any log level.
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _import(modules: Sequence[str]) -> None:
    # Who imports them afterwards meets the error that there may be.
    with contextlib.suppress(Exception):
        for module in modules:
            importlib.import_module(module)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL)
    os._exit(1)


def _execute(task: Task, slot: int) -> Ended:
    from lr_ceiling import training

    def on_steps(steps: int) -> None:
        _progress[slot] = steps

    started = time.time()
    result = training.fit(task.spec, task.splits, task.model, task.test, on_steps)
    return Ended(task, result, started, time.time() - started)
