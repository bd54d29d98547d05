"""A cluster in virtual time, with random faults of every kind that follow from a seed.

Only the network and the machines are simulated. Calls are pickled and executed like on real
workers, and the executor, the driver, the journal and the sampler are the real ones.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from lr_ceiling.execution.admission import Told, refusal
from lr_ceiling.execution.remote import (
    Needs,
    RemoteExecutor,
    Reply,
    SchedulerGoneError,
    Started,
    WorkerLostError,
    execute,
)
from lr_ceiling.problems.outcome import Run

# Virtual seconds: of a median run, between a loss and its notice, until a machine is replaced, and
# until a run is given to another worker as well.
RUN, NOTICE, REPLACED, TIME_OUT = 10.0, 5.0, 30.0, 60.0
# Nobody waits longer than this for a worker.
PATIENCE = 600.0


class DriverKilledError(Exception):
    """The simulated driver was killed."""


@dataclass(frozen=True)
class Faults:
    """The rates of the faults: the first ones per attempt, the others per worker and per wait."""

    dies: float = 0
    hangs: float = 0
    loses: float = 0
    repeats: float = 0
    returns_late: float = 0
    # Tells other versions when it joins; another file; turns into another one after that.
    is_other: float = 0
    has_other_data: float = 0
    lies: float = 0
    # Another kind of processor.
    differs: float = 0
    scheduler_goes: float = 0
    driver_dies: float = 0
    # Standard deviation of the logarithm of every delay and duration.
    disorder: float = 0.1


QUIET = Faults()


@dataclass
class _Machine:
    told: Told
    # What its replies say, which is another thing if it lies.
    truth: Told
    free: bool = True
    admitted: bool = False


@dataclass
class _Waiting:
    attempt: str
    call: bytes
    without: frozenset[str]
    future: "Future[Reply]" = field(default_factory=Future)


class SimulatedWorkers:
    """Simulated workers in virtual time; `happened` counts the faults.

    `seconds` draws the duration of a run from its own random numbers.
    """

    name = "the simulated scheduler"

    def __init__(
        self,
        seed: int,
        count: int,
        wanted: Told,
        carried: dict[str, Path],
        faults: Faults = QUIET,
        seconds: Callable[[random.Random], float] | None = None,
    ) -> None:
        self.happened: Counter[str] = Counter()
        self.now = 0.0
        self._random = random.Random(seed)
        self._wanted, self._carried, self._faults = wanted, carried, faults
        self._seconds = seconds or (lambda rng: RUN * rng.lognormvariate(0, faults.disorder))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._machines: dict[str, _Machine] = {}
        self._waiting: list[_Waiting] = []
        self._news: list[Told | Started] = []
        self._gone = False
        # One is as it must be, so that a search can end.
        self._join(honest=True)
        for _ in range(count - 1):
            self._join()

    def start(self, attempt: str, call: bytes, without: Collection[str]) -> "Future[Reply]":
        """Submit a call to the next free worker."""
        if self._gone:
            raise SchedulerGoneError(f"{self.name} is gone")
        waiting = _Waiting(attempt, call, frozenset(without))
        self._later(self._delay(), lambda: self._arrive(waiting))
        return waiting.future

    def news(self) -> list[Told | Started]:
        """The messages since the last call."""
        news, self._news = self._news, []
        return news

    def present(self) -> Collection[str]:
        """The present workers."""
        return list(self._machines)

    def clock(self) -> float:
        """The present time in virtual seconds."""
        return self.now

    def wait(self, futures: Collection["Future[Reply]"], seconds: float) -> None:
        """Advance the time to the next event."""
        if self._happens(self._faults.driver_dies, "driver killed"):
            raise DriverKilledError
        if self._happens(self._faults.scheduler_goes, "scheduler gone"):
            self._gone = True
        if self._gone:
            raise SchedulerGoneError(f"{self.name} is gone")
        end = self.now + seconds
        if not self._events or self._events[0][0] > end:
            self.now = end
            return
        self.now, _, event = heapq.heappop(self._events)
        event()

    def _later(self, seconds: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), event))

    def _delay(self) -> float:
        return 0.01 * self._random.lognormvariate(0, 10 * self._faults.disorder)

    def _happens(self, chance: float, what: str) -> bool:
        happens = chance > 0 and self._random.random() < chance
        self.happened[what] += happens
        return happens

    def _join(self, honest: bool = False) -> None:
        faults = self._faults
        name = f"tcp://10.0.0.{len(self._machines)}:{next(self._numbers)}"
        told = replace(self._wanted, worker=name)
        truth = told
        if not honest:
            if self._happens(faults.is_other, "other version"):
                told = truth = _other(told)
            elif self._happens(faults.has_other_data, "other data"):
                told = truth = replace(told, data={"data": "0" * 16})
            elif self._happens(faults.lies, "lies of its version"):
                truth = _other(told)
            elif self._happens(faults.differs, "other processor"):
                told = truth = replace(told, arithmetic={**told.arithmetic, "processor": "other"})
        machine = _Machine(told, truth, admitted=refusal(self._wanted, told) is None)
        self._machines[name] = machine
        self._later(self._delay(), lambda: self._news.append(told))
        self._dispatch()

    def _arrive(self, waiting: _Waiting) -> None:
        self._waiting.append(waiting)
        self._dispatch()

    def _dispatch(self) -> None:
        self._waiting = [one for one in self._waiting if not one.future.cancelled()]
        self._random.shuffle(self._waiting)
        for waiting in list(self._waiting):
            free = [
                machine
                for name, machine in self._machines.items()
                if machine.free and machine.admitted and name not in waiting.without
            ]
            if free:
                self._waiting.remove(waiting)
                self._begin(self._random.choice(free), waiting)

    def _begin(self, machine: _Machine, waiting: _Waiting) -> None:
        machine.free = False
        started = Started(waiting.attempt, machine.told.worker)
        self._later(self._delay(), lambda: self._news.append(started))
        faults, seconds = self._faults, self._seconds(self._random)
        if self._happens(faults.dies, "worker dies"):
            self._later(seconds * self._random.random(), lambda: self._die(machine, waiting))
        elif self._happens(faults.hangs, "worker hangs"):
            if self._random.random() < faults.returns_late:
                self._later(3 * TIME_OUT, lambda: self._end(machine, waiting))
        elif self._happens(faults.loses, "result is lost"):
            self._later(seconds, lambda: self._free(machine))
        else:
            self._later(seconds, lambda: self._end(machine, waiting))

    def _die(self, machine: _Machine, waiting: _Waiting) -> None:
        del self._machines[machine.told.worker]
        self._later(NOTICE, lambda: self._lose(waiting))
        self._later(REPLACED, lambda: self._join(honest=machine.told == machine.truth))

    def _lose(self, waiting: _Waiting) -> None:
        if not waiting.future.done():
            waiting.future.set_exception(WorkerLostError())

    def _free(self, machine: _Machine) -> None:
        machine.free = True
        self._dispatch()

    def _end(self, machine: _Machine, waiting: _Waiting) -> None:
        self._free(machine)
        if waiting.future.cancelled():
            return
        reply = execute(waiting.call, self._carried, machine.truth)
        if self._happens(self._faults.repeats, "run twice"):
            again = execute(waiting.call, self._carried, machine.truth)
            self._later(self._delay(), lambda: self._deliver(again, waiting))
        if machine.truth != machine.told:
            # What it computes is of another version as well.
            reply = replace(reply, result=_turned(reply.result))
        self._later(self._delay(), lambda: self._deliver(reply, waiting))

    def _deliver(self, reply: Reply, waiting: _Waiting) -> None:
        if not waiting.future.done():
            waiting.future.set_result(reply)


def _turned(result: tuple[Run, float, float]) -> tuple[Run, float, float]:
    run, started, seconds = result
    outcome = replace(run.outcome, stable=not run.outcome.stable)
    return replace(run, outcome=outcome), started, seconds


def _other(told: Told) -> Told:
    return replace(told, versions={**told.versions, "numpy": "0.1"})


class SimulatedCluster:
    """Gives `find_ceiling` these workers. `happened` counts the faults, `said` keeps messages."""

    def __init__(self, seed: int, count: int = 3, faults: Faults = QUIET) -> None:
        self.happened: Counter[str] = Counter()
        self.said: list[str] = []
        self._seed, self._count, self._faults = seed, count, faults

    @contextmanager
    def opened(self, needs: Needs) -> Iterator[RemoteExecutor]:
        """Make an executor on the workers."""
        wanted = needs.wanted()
        carried = {digest: path for path, digest in needs.files.carried.items()}
        workers = SimulatedWorkers(self._seed, self._count, wanted, carried, self._faults)
        self.happened = workers.happened
        executor = RemoteExecutor(
            workers,
            wanted,
            files=needs.files,
            time_out=TIME_OUT,
            patience=PATIENCE,
            say=self.said.append,
        )
        yield executor
        executor.shutdown()
