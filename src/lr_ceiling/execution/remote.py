"""Runs on remote workers. A run may be attempted several times, and counts once.

A run's result depends on its arguments alone, so the attempt that ends first gives the result.
Files that runs need are on the workers before. Files that a run writes are returned with its
result.
"""

import io
import pickle
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cloudpickle

from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.admission import (
    Told,
    Versioned,
    other_arithmetic,
    refusal,
    wanted_here,
)
from lr_ceiling.execution.files import write_bytes
from lr_ceiling.execution.scratch import Scratch
from lr_ceiling.identity import digest_of

# A run that lost this many workers is taken to be the cause: even preemptible machines hardly ever
# lose one run so often.
MOST_LOST = 20
# A run that hangs on this many workers is taken to be the cause.
MOST_HUNG = 3
# Seconds between checks of which workers are present.
LOOK = 5.0
# Seconds without any busy worker after which the search ends, and after which it prints a notice.
PATIENCE, IMPATIENT = 1800.0, 30.0


class WorkerLostError(Exception):
    """The worker of an attempt is gone; the attempt ended `workers` workers in succession."""

    def __init__(self, workers: int = 1) -> None:
        super().__init__(workers)
        self.workers = workers


class SchedulerGoneError(WorkerError):
    """The workers can't be reached any more. Finished runs are in the journal."""


@dataclass(frozen=True)
class Started:
    """A worker has begun an attempt."""

    attempt: str
    worker: str


@dataclass(frozen=True)
class Reply:
    """A worker's reply: its description, the call's result or error, and files by name."""

    told: Told
    result: Any = None
    raised: BaseException | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


class Workers(Protocol):
    """Access to remote workers."""

    @property
    def name(self) -> str:
        """Their displayed name."""

    def start(self, attempt: str, call: bytes, without: Collection[str]) -> "Future[Reply]":
        """Let a worker that is not in `without` `execute` a call.

        The future raises WorkerLostError or SchedulerGoneError, or an error if the call can't be
        sent.
        """

    def news(self) -> Iterable[Told | Started]:
        """The workers' messages since the last call."""

    def present(self) -> Collection[str] | None:
        """The present workers; None if they are unknown now."""

    def wait(self, futures: Collection["Future[Reply]"], seconds: float) -> None:
        """Wait until something may have happened, at most `seconds`."""

    def clock(self) -> float:
        """Seconds of a monotonic clock."""


@dataclass(frozen=True)
class Files:
    """Files of the driver that calls refer to. The workers have the `carried` ones, by SHA-256.

    Files that a call writes into the folder `returned` are sent back with its result.
    """

    carried: Mapping[Path, str] = field(default_factory=dict)
    returned: Path | None = None

    def dumps(self, call: Any) -> tuple[bytes, frozenset[str]]:
        """A call as bytes, and the files that it may write."""
        buffer = io.BytesIO()
        pickler = _Pickler(buffer, self)
        pickler.dump(call)
        return buffer.getvalue(), frozenset(pickler.named)


@dataclass(frozen=True)
class Needs:
    """The requirements of runs on a worker, and the settings of their arithmetic.

    `prepared_by` is that of a Problem. `environment` is the initial environment of the problem's
    local processes; `one_thread` says that TensorFlow uses one thread in them.
    """

    versioned: Versioned
    files: Files
    prepared_by: str | None
    environment: Mapping[str, str]
    one_thread: bool

    def wanted(self) -> Told:
        """The description that a worker must give."""
        data = data_of(self.files.carried.values())
        return wanted_here(self.versioned, data, self.environment, self.one_thread)


@runtime_checkable
class Cluster(Protocol):
    """Remote workers that can be prepared for runs."""

    def opened(self, needs: Needs) -> AbstractContextManager["RemoteExecutor"]:
        """An executor on all workers, prepared for runs, including workers that join later."""


def data_of(digests: Iterable[str]) -> dict[str, str]:
    """The entries for files with these SHA-256 in a worker's description."""
    return {"data": digest_of(sorted(digests))}


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def __init__(self, buffer: io.BytesIO, files: Files) -> None:
        super().__init__(buffer)
        self.named: set[str] = set()
        self._files = files

    def persistent_id(self, value: Any) -> tuple[str, str] | None:
        if not isinstance(value, Path):
            return None
        if value in self._files.carried:
            return "carried", self._files.carried[value]
        folder = self._files.returned
        if folder is not None and value.is_relative_to(folder):
            self.named.add(str(value))
            return "returned", str(value)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, call: bytes, carried: Mapping[str, Path], scratch: Path) -> None:
        super().__init__(io.BytesIO(call))
        self.returned: dict[str, Path] = {}
        self._carried, self._scratch = carried, scratch

    def persistent_load(self, named: tuple[str, str]) -> Path:
        kind, name = named
        if kind == "carried":
            return self._carried[name]
        suffix = Path(name).suffix
        return self.returned.setdefault(name, self._scratch / f"{len(self.returned)}{suffix}")


def execute(call: bytes, carried: Mapping[str, Path], told: Told) -> Reply:
    """Execute a call in a worker; `carried` are its files by SHA-256."""
    with Scratch() as scratch:
        try:
            reader = _Unpickler(call, carried, Path(scratch))
            function, arguments = reader.load()
            result = function(*arguments)
        # Also what would end the worker: it is the call's own affair.
        except BaseException as error:
            return Reply(told, raised=_sendable(error))
        left = {name: path for name, path in reader.returned.items() if path.exists()}
        return Reply(told, result, files={name: path.read_bytes() for name, path in left.items()})


def _sendable(error: BaseException) -> BaseException:
    # Raised again in the driver, these would end it.
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return WorkerError(f"a run raised {type(error).__name__}")
    try:
        pickle.loads(pickle.dumps(error))
    # Any error that the exception's parts raise when they are pickled.
    except Exception:
        return WorkerError(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return error


@dataclass
class _Attempt:
    future: "Future[Reply]"
    # The time and the worker of its start; None before.
    began: float | None = None
    worker: str | None = None
    # Whether a second attempt was started beside it.
    late: bool = False


@dataclass
class _Run:
    call: bytes
    named: frozenset[str]
    future: "Future[Any]"
    attempts: dict[str, _Attempt] = field(default_factory=dict)
    lost: int = 0
    hung: int = 0
    # Workers that must not try it again.
    without: set[str] = field(default_factory=set)


def say(line: str) -> None:
    """Print a notice."""
    print(f"warning: {line}", file=sys.stderr)


class RemoteExecutor(Executor):
    """Executes calls on `workers` whose description is the `wanted` one; each call counts once.

    An attempt that its worker begun longer than `time_out` seconds ago gets another one beside it.
    A worker of other arithmetic is told by `other`, once; with `strict` it is refused.
    Who waits for its futures does so by `wait_for`, which does the work: there is no thread for it.
    """

    def __init__(
        self,
        workers: Workers,
        wanted: Told,
        *,
        files: Files | None = None,
        strict: bool = False,
        time_out: float | None = None,
        patience: float = PATIENCE,
        say: Callable[[str], None] = say,
    ) -> None:
        self.same_arithmetic = True
        self.on_other_arithmetic: Callable[[], None] = lambda: None
        self._workers, self._wanted = workers, wanted
        self._files = files or Files()
        self._strict, self._time_out, self._patience = strict, time_out, patience
        self._say = say
        self._runs: list[_Run] = []
        self._submitted = 0
        # Each worker's description, and why it is refused or None.
        self._known: dict[str, tuple[Told, str | None]] = {}
        self._looked = workers.clock()
        # The time since which no worker is busy, and whether this was reported.
        self._idle: float | None = None
        self._told_idle = False

    @property
    def places(self) -> int:
        """The known number of runs that may execute at once, at least one."""
        for news in self._workers.news():
            self._hear(news)
        return max(1, sum(reason is None for _, reason in self._known.values()))

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Send a call to a worker."""
        if kwargs:
            raise TypeError("calls with keyword arguments can't be sent")
        call, named = self._files.dumps((function, args))
        run = _Run(call, named, Future())
        run.future.add_done_callback(lambda future: _give_up(run))
        self._runs.append(run)
        self._start(run)
        return run.future

    def wait_for(self, futures: Collection["Future[Any]"], timeout: float) -> set["Future[Any]"]:
        """Wait until one of `futures` has ended, `timeout` seconds at most; give those that have.

        Raises SchedulerGoneError, and WorkerError if no worker is left that may try a run.
        """
        clock = self._workers.clock
        end = clock() + timeout
        while True:
            self._look()
            done = {future for future in futures if future.done()}
            left = end - clock()
            if done or left <= 0:
                return done
            under_way = [attempt.future for attempt in self._attempts()]
            self._workers.wait(under_way, left)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Give up the runs in progress."""
        for run in list(self._runs):
            run.future.cancel()
        self._runs.clear()

    def _attempts(self) -> Iterator[_Attempt]:
        for run in self._runs:
            yield from run.attempts.values()

    def _start(self, run: _Run) -> None:
        self._submitted += 1
        name = f"{self._submitted}"
        refused = {worker for worker, (_, reason) in self._known.items() if reason}
        run.attempts[name] = _Attempt(
            self._workers.start(name, run.call, sorted(refused | run.without))
        )

    def _look(self) -> None:
        for news in self._workers.news():
            self._hear(news)
        for run in list(self._runs):
            for name, attempt in list(run.attempts.items()):
                # The reply to one attempt may end another one, if its worker is refused.
                if name in run.attempts and attempt.future.done() and not run.future.done():
                    del run.attempts[name]
                    self._take(run, attempt)
            if run.future.done():
                self._runs.remove(run)
        self._look_for_lost()
        self._look_for_hung()
        self._look_for_workers()

    def _hear(self, news: Told | Started) -> None:
        if isinstance(news, Told):
            self._admit(news)
            return
        for run in self._runs:
            attempt = run.attempts.get(news.attempt)
            if attempt is not None:
                attempt.worker, attempt.began = news.worker, self._workers.clock()

    def _take(self, run: _Run, attempt: _Attempt) -> None:
        if attempt.future.cancelled():
            raise SchedulerGoneError(f"{self._workers.name} is gone")
        error = attempt.future.exception()
        if isinstance(error, SchedulerGoneError):
            raise error
        if isinstance(error, WorkerLostError):
            self._lost(run, error.workers)
        elif error is not None:
            run.future.set_exception(error)
        elif self._admit(attempt.future.result().told):
            self._settle(run, attempt.future.result())
        else:
            self._again(run)

    def _lost(self, run: _Run, workers: int) -> None:
        run.lost += workers
        if run.lost >= MOST_LOST:
            raise WorkerError(
                f"{run.lost} workers ended while executing one run: give them more memory"
            )
        self._again(run)

    def _again(self, run: _Run) -> None:
        if not run.attempts:
            self._start(run)

    def _settle(self, run: _Run, reply: Reply) -> None:
        if reply.raised is not None:
            run.future.set_exception(reply.raised)
            return
        # Only the files of this call, whatever a worker sends.
        for name in run.named & reply.files.keys():
            write_bytes(Path(name), reply.files[name])
        run.future.set_result(reply.result)

    def _admit(self, told: Told) -> bool:
        """Whether a worker may execute runs. A problem with it is reported once."""
        known, reason = self._known.get(told.worker, (None, None))
        if known == told:
            return reason is None
        reason = refusal(self._wanted, told)
        other = None if reason else other_arithmetic(self._wanted, told)
        if other and self._strict:
            reason = f"worker {told.worker} is refused: {other.partition(': ')[2]}"
        self._known[told.worker] = told, reason
        if reason:
            self._say(reason)
            return False
        if other:
            self._say(other)
            if self.same_arithmetic:
                self.same_arithmetic = False
                self.on_other_arithmetic()
        if known is None:
            self._offer_again()
        return True

    def _offer_again(self) -> None:
        """Offer runs that have not started to new workers too, since schedulers may not do so."""
        for run in self._runs:
            for name, attempt in list(run.attempts.items()):
                if attempt.began is None and not attempt.future.done():
                    del run.attempts[name]
                    attempt.future.cancel()
                    self._start(run)

    def _look_for_lost(self) -> None:
        """Restart runs whose workers are gone, since a scheduler may wait for new workers."""
        now = self._workers.clock()
        if now - self._looked < LOOK:
            return
        self._looked = now
        present = self._workers.present()
        if present is None:
            return
        for run in self._runs:
            for name, attempt in list(run.attempts.items()):
                if attempt.worker is not None and attempt.worker not in present:
                    del run.attempts[name]
                    attempt.future.cancel()
                    self._lost(run, 1)

    def _look_for_hung(self) -> None:
        if self._time_out is None:
            return
        now = self._workers.clock()
        for run in self._runs:
            for attempt in list(run.attempts.values()):
                if attempt.late or attempt.began is None or now - attempt.began < self._time_out:
                    continue
                attempt.late = True
                run.hung += 1
                if run.hung == MOST_HUNG:
                    raise WorkerError(
                        f"a run has not ended within {self._time_out:g} s on {MOST_HUNG} workers: "
                        "raise the time-out"
                    )
                if attempt.worker is not None:
                    run.without.add(attempt.worker)
                self._start(run)

    def _look_for_workers(self) -> None:
        now = self._workers.clock()
        at_work = any(one.began is not None and not one.late for one in self._attempts())
        if at_work or not self._runs:
            self._idle, self._told_idle = None, False
            return
        if self._idle is None:
            self._idle = now
            return
        refused = [reason for _, reason in self._known.values() if reason]
        if now - self._idle > IMPATIENT and not self._told_idle:
            self._told_idle = True
            present = set(self._workers.present() or ())
            if present and present <= {name for name, (_, why) in self._known.items() if why}:
                count = f"all {len(refused)} workers are refused; the first: " * (len(refused) > 1)
                raise WorkerError(f"{count}{refused[0]}")
            self._say(f"no worker of {self._workers.name} takes a run: waiting for one")
        if now - self._idle > self._patience:
            raise WorkerError(
                f"no worker of {self._workers.name} has taken a run for {self._patience:g} s: "
                "start some"
            )


def _give_up(run: _Run) -> None:
    """Drop the remaining attempts of a run whose future is done."""
    for attempt in run.attempts.values():
        attempt.future.cancel()
