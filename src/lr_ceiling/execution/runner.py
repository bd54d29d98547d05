"""Runs tasks on an executor, with a limit on tasks at once, retries, and progress.

A task is a picklable callable. If the operating system kills a process, its whole pool breaks: the
executor is restarted, and the tasks in progress are submitted again.
"""

import contextlib
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.executor import check_worker, kill
from lr_ceiling.execution.scratch import Scratch

# A task that breaks the executor this often is taken to be the cause.
ATTEMPTS = 3
# Seconds between checks of the progress.
POLL = 0.5
STEPS = struct.Struct("<q")

Report = Callable[[int], None]
# A task's result, its start, and its duration.
_Outcome = tuple[Any, float, float]


class Task(Protocol):
    """Work for one process, which may report the number of steps taken."""

    def __call__(self, report: Report) -> Any:
        """Do the work."""


@dataclass(frozen=True)
class Ended:
    """A finished task: its result, its start (seconds since 1970) and its duration."""

    task: Any
    result: Any
    started: float
    seconds: float


class Source(Protocol):
    """Gives tasks one by one, and receives their results."""

    def next(self) -> Task | None:
        """The next task to start; None while no task may start."""

    def take(self, ended: Ended) -> None:
        """Receive a finished task."""


@runtime_checkable
class Waits(Protocol):
    """An executor that works inside its `wait`."""

    def wait_for(self, futures: Collection[Future[Any]], timeout: float) -> set[Future[Any]]:
        """Wait until one of `futures` has ended, `timeout` seconds at most; those that have."""


@dataclass(frozen=True)
class _Flight:
    task: Task
    group: str
    attempt: int
    progress: Path


class Runner:
    """Executes tasks; a context manager. `submit` takes tasks, and `completed` returns results.

    `start` makes an executor, which is started at the first task. At most `at_once` tasks are in
    progress. About twice a second, `on_steps` gets the number of steps that the tasks of each group
    have reported. An executor that is not `owned` is neither ended nor restarted.
    """

    def __init__(
        self,
        start: Callable[[], Executor],
        at_once: int,
        on_steps: Callable[[Mapping[str, int]], None] | None = None,
        owned: bool = True,
    ) -> None:
        self._start = start
        self._at_once = at_once
        self._on_steps = on_steps or (lambda steps: None)
        self._owned = owned
        self._executor: Executor | None = None
        self._scratch = Scratch()
        self._submitted = 0
        self._failed_starts = 0
        self._steps_done: Counter[str] = Counter()
        self._waiting: deque[_Flight] = deque()
        self._flights: dict[Future[_Outcome], _Flight] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._executor is not None and self._owned:
            if error is not None:
                kill(self._executor)
            self._executor.shutdown(cancel_futures=True)
        if not self._owned:
            for future in self._flights:
                future.cancel()
        self._scratch.cleanup()

    @property
    def free(self) -> int:
        """How many more tasks would start at once."""
        return self._at_once - len(self._flights) - len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any task is in progress."""
        return bool(self._flights or self._waiting)

    def submit(self, task: Task, group: str = "") -> None:
        """Start `task` as soon as a place is free."""
        self._submitted += 1
        progress = Path(self._scratch.name) / str(self._submitted)
        self._waiting.append(_Flight(task, group, 1, progress))
        self._launch()

    def completed(self) -> Ended:
        """Wait for any submitted task to end. Each task is returned once.

        Raises WorkerError for a task that ended its process three times and for a process that
        can't start, and any exception of the task.
        """
        self._launch()
        if not self._flights:
            raise ValueError("no task is in progress")
        while True:
            done = self._wait()
            self._on_steps(self._steps())
            for future in done:
                if isinstance(future.exception(), BrokenExecutor):
                    self._restart()
                    break
                flight = self._flights.pop(future)
                self._steps_done[flight.group] += _reported(flight.progress)
                # The next task starts with the next call, so its errors can't lose this result.
                result, started, seconds = future.result()
                return Ended(flight.task, result, started, seconds)

    def execute(self, tasks: Sequence[Task]) -> list[Ended]:
        """Execute `tasks`, and return their results in the order of `tasks`."""
        for task in tasks:
            self.submit(task)
        ended = {id(done.task): done for done in (self.completed() for _ in tasks)}
        return [ended[id(task)] for task in tasks]

    def _wait(self) -> set[Future[_Outcome]]:
        if isinstance(self._executor, Waits):
            return self._executor.wait_for(self._flights, POLL)
        return wait(self._flights, timeout=POLL, return_when=FIRST_COMPLETED).done

    def _steps(self) -> Counter[str]:
        steps = self._steps_done.copy()
        for flight in self._flights.values():
            steps[flight.group] += _reported(flight.progress)
        return steps

    def _launch(self) -> None:
        # No more than `at_once`, so that a killed process loses only tasks that really ran.
        while self._waiting and len(self._flights) < self._at_once:
            flight = self._waiting.popleft()
            self._executor = self._executor or self._start()
            try:
                future = self._executor.submit(_call, flight.task, flight.progress)
            # A process died outside `wait`, or no process can be started. This task has not been
            # tried yet.
            except (BrokenExecutor, EOFError, OSError) as error:
                self._failed_starts += 1
                if self._failed_starts == ATTEMPTS:
                    reason = f"{type(error).__name__}: {error}"
                    raise WorkerError(f"a worker can't start: {reason}") from None
                self._waiting.appendleft(flight)
                self._restart()
                return
            # The executor was shut down. Errors of broken executors are caught above.
            except RuntimeError as error:
                if self._owned:
                    raise
                raise WorkerError(f"the given executor takes no more tasks: {error}") from None
            self._failed_starts = 0
            self._flights[future] = flight

    def _restart(self) -> None:
        if not self._owned:
            raise WorkerError("the given executor is broken: start another one")
        if self._executor is not None:
            # A broken pool terminates its processes and waits for all of them. A process that was
            # just starting is not terminated, and may wait for a lock that a dead process holds.
            kill(self._executor)
            self._executor.shutdown()
        broken = {
            future: flight
            for future, flight in self._flights.items()
            if isinstance(future.exception(), BrokenExecutor)
        }
        for future, flight in broken.items():
            if flight.attempt == ATTEMPTS:
                raise WorkerError(
                    f"a worker process was killed {ATTEMPTS} times while executing {flight.task}: "
                    "free some memory or use fewer workers"
                )
            del self._flights[future]
            again = _Flight(flight.task, flight.group, flight.attempt + 1, flight.progress)
            self._waiting.append(again)
        self._executor = None
        self._launch()


def work(runner: Runner, own: Mapping[str, Source], ahead: Mapping[str, Source]) -> None:
    """Run the sources' tasks, in order of the sources, until the `own` sources have no more.

    The `ahead` sources get the places that the `own` ones leave free. When the last own task has
    ended, no more tasks start, and those of `ahead` in progress are waited for.
    """
    sources = {**own, **ahead}
    # By identity, because two equal tasks are different tasks.
    names: dict[int, str] = {}

    def start(some: Mapping[str, Source]) -> None:
        for name, source in some.items():
            while runner.free > 0 and (task := source.next()) is not None:
                names[id(task)] = name
                runner.submit(task, name)

    while True:
        start(own)
        if any(name in own for name in names.values()):
            start(ahead)
        if not runner.busy:
            return
        ended = runner.completed()
        sources[names.pop(id(ended.task))].take(ended)


def _call(task: Task, progress: Path) -> _Outcome:
    check_worker()
    # The clock may be set back meanwhile.
    started, begun = time.time(), time.monotonic()
    with contextlib.ExitStack() as stack:
        report: Report = lambda steps: None  # noqa: E731
        # On other machines this folder is missing, and there is no progress to report to.
        with contextlib.suppress(OSError):
            file = stack.enter_context(progress.open("wb", buffering=0))

            def report(steps: int) -> None:
                file.seek(0)
                file.write(STEPS.pack(steps))

        result = task(report)
    return result, started, time.monotonic() - begun


def _reported(progress: Path) -> int:
    try:
        content = progress.read_bytes()
    except OSError:
        return 0
    return int(STEPS.unpack(content)[0]) if len(content) == STEPS.size else 0
