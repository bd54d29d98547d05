"""Runs tasks on an executor: how many at once, how often each is tried, how far they are.

A task is a picklable callable. A process that the operating system kills breaks its whole pool: the
executor is started anew and the tasks that were under way are submitted again.
"""

import contextlib
import struct
import tempfile
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

# A task that breaks the executor this often is not unlucky.
ATTEMPTS = 3
# Seconds between looks at the progress.
POLL = 0.5
STEPS = struct.Struct("<q")

Report = Callable[[int], None]
# What a task gave, when it started, and how long it took.
_Outcome = tuple[Any, float, float]


class Task(Protocol):
    """Work for one process; it may report how many steps it has taken."""

    def __call__(self, report: Report) -> Any:
        """Do it."""


@dataclass(frozen=True)
class Ended:
    """A task that ended: its result, when it started (seconds since 1970), how long it took."""

    task: Any
    result: Any
    started: float
    seconds: float


class Source(Protocol):
    """Gives tasks one by one, and takes in what they came to."""

    def next(self) -> Task | None:
        """The next task to start; None while there is none that may start now."""

    def take(self, ended: Ended) -> None:
        """Take in a task that ended."""


@runtime_checkable
class Waits(Protocol):
    """An executor that works while its futures are waited for."""

    def wait_for(self, futures: Collection[Future[Any]], timeout: float) -> set[Future[Any]]:
        """Wait until one of `futures` has ended, `timeout` seconds at most; those that have."""


@dataclass(frozen=True)
class _Flight:
    task: Task
    group: str
    attempt: int
    progress: Path


class Runner:
    """Executes tasks; a context manager. Tasks go in by `submit`, results come by `completed`.

    `start` gives an executor, which is started when the first task is there. `at_once` is how many
    tasks are under way at most. `on_steps` is told, about twice a second, how many steps the tasks
    of each group have reported. An executor that is not `owned` is neither ended nor started anew.
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
        # A task of an executor that is not ours may still have a file of it open at the end, which
        # Windows doesn't remove.
        self._scratch = tempfile.TemporaryDirectory(
            prefix="lr-ceiling-", ignore_cleanup_errors=True
        )
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
        """How many tasks more would start at once."""
        return self._at_once - len(self._flights) - len(self._waiting)

    @property
    def busy(self) -> bool:
        """Whether any task is under way."""
        return bool(self._flights or self._waiting)

    def submit(self, task: Task, group: str = "") -> None:
        """Start `task` as soon as a place is free."""
        self._submitted += 1
        progress = Path(self._scratch.name) / str(self._submitted)
        self._waiting.append(_Flight(task, group, 1, progress))
        self._launch()

    def completed(self) -> Ended:
        """Wait for any submitted task to end; each is given once.

        Raises WorkerError for a task that ended its process three times and for a process that
        can't start, and what a task raised.
        """
        self._launch()
        if not self._flights:
            raise ValueError("nothing is under way")
        while True:
            done = self._wait()
            self._on_steps(self._steps())
            for future in done:
                if isinstance(future.exception(), BrokenExecutor):
                    self._restart()
                    break
                flight = self._flights.pop(future)
                self._steps_done[flight.group] += _reported(flight.progress)
                # The next task starts with the next call: what may go wrong then loses no result.
                result, started, seconds = future.result()
                return Ended(flight.task, result, started, seconds)

    def execute(self, tasks: Sequence[Task]) -> list[Ended]:
        """Execute `tasks` and give them in their own order, whichever ended first."""
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
        # No more than run at once: what a killed process takes with it was really under way.
        while self._waiting and len(self._flights) < self._at_once:
            flight = self._waiting.popleft()
            self._executor = self._executor or self._start()
            try:
                future = self._executor.submit(_call, flight.task, flight.progress)
            # A process died while none was waited for, or none can be started; this task has not
            # been tried yet.
            except (BrokenExecutor, EOFError, OSError) as error:
                self._failed_starts += 1
                if self._failed_starts == ATTEMPTS:
                    reason = f"{type(error).__name__}: {error}"
                    raise WorkerError(f"a worker can't start: {reason}") from None
                self._waiting.appendleft(flight)
                self._restart()
                return
            # It was shut down. Broken ones raise such an error as well, which is caught above.
            except RuntimeError as error:
                if self._owned:
                    raise
                raise WorkerError(f"the executor that was given takes no more: {error}") from None
            self._failed_starts = 0
            self._flights[future] = flight

    def _restart(self) -> None:
        if not self._owned:
            raise WorkerError("the executor that was given has broken: start another one")
        if self._executor is not None:
            # A pool that broke terminates its processes and waits for all: one that was starting
            # then is not terminated, and waits for tasks behind a lock that a dead one holds.
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
                    f"a worker process was killed {ATTEMPTS} times while {flight.task} "
                    "was under way: free some memory or use fewer workers"
                )
            del self._flights[future]
            again = _Flight(flight.task, flight.group, flight.attempt + 1, flight.progress)
            self._waiting.append(again)
        self._executor = None
        self._launch()


def work(runner: Runner, own: Mapping[str, Source], ahead: Mapping[str, Source]) -> None:
    """Run the tasks of the sources, those first named first, until `own` ones give no more.

    `ahead` ones get the places that `own` ones leave free. What of theirs is under way when the
    last own task ends is waited for, but no more of it is started.
    """
    sources = {**own, **ahead}
    # By identity: two equal tasks are two.
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
    started = time.time()
    with contextlib.ExitStack() as stack:
        report: Report = lambda steps: None  # noqa: E731
        # Elsewhere than on the driver's machine there is no such folder, and nothing to report to.
        with contextlib.suppress(OSError):
            file = stack.enter_context(progress.open("wb", buffering=0))

            def report(steps: int) -> None:
                file.seek(0)
                file.write(STEPS.pack(steps))

        result = task(report)
    return result, started, time.time() - started


def _reported(progress: Path) -> int:
    try:
        content = progress.read_bytes()
    except OSError:
        return 0
    return int(STEPS.unpack(content)[0]) if len(content) == STEPS.size else 0
