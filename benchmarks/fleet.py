"""Starts the processes of one way of training, pins each to a core, and gives them orders."""

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.places import PEERS_PYTHON, ROOT, SCRATCH
from benchmarks.protocol import Order, Trained
from lr_ceiling.problems.environment import pinned


@dataclass(frozen=True)
class Peer:
    """A way of training: its module in `benchmarks.peers`, and its processes."""

    name: str
    module: str
    own_environment: bool = False
    # Single-threaded processes, one a core; or one process with every core.
    one_a_core: bool = True

    @property
    def is_installed(self) -> bool:
        """Whether its environment is installed."""
        return not self.own_environment or PEERS_PYTHON.exists()


OURS = Peer("ours", "engine")
FLOOR = Peer("floor", "floor")
NOTEBOOK = Peer("notebook: generator into Keras fit", "keras_generator", one_a_core=False)
KERAS = Peer("Keras fit on arrays", "keras_arrays")
TORCH = Peer("PyTorch eager", "torch_eager", own_environment=True)
COMPILED = Peer("torch.compile", "torch_compile", own_environment=True)
JAX = Peer("JAX scan", "jax_scan", own_environment=True)
# Those that run in one thread, and so can be compared on one core.
SINGLE = (KERAS, TORCH, COMPILED, JAX)


class Process:
    """A process of a peer on `core`, or on all cores; it is ready when `started` has returned."""

    def __init__(self, peer: Peer, splits: Path, core: int | None) -> None:
        self._log = SCRATCH / f"{peer.module}-{core}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        python = str(PEERS_PYTHON) if peer.own_environment else sys.executable
        placed = [] if core is None else ["taskset", "--cpu-list", str(core)]
        # A process that has one core is a worker's like; the notebook sets nothing.
        quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [*placed, python, "-m", f"benchmarks.peers.{peer.module}", str(splits)],
                cwd=ROOT,
                env=pinned(os.environ) if peer.one_a_core else quiet,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def started(self) -> None:
        """Wait until the process has imported what it needs."""
        self._answer()

    def ask(self, order: Order) -> dict[str, Any]:
        """Execute an order. Raises RuntimeError if the process ended instead."""
        assert self._process.stdin
        print(json.dumps(asdict(order)), file=self._process.stdin, flush=True)
        return self._answer()

    def train(self, order: Order) -> Trained:
        """Train a run."""
        return Trained(**self.ask(order))

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._log.stem} ended: {self._log} tells why")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Fleet:
    """All processes of a peer, with the networks of `arms` prepared; a context manager.

    `startup` is the number of seconds until they were ready.
    """

    def __init__(
        self, peer: Peer, splits: Path, arms: Sequence[Order], cores: Sequence[int]
    ) -> None:
        self.peer = peer
        began = time.perf_counter()
        places = cores if peer.one_a_core else [None]
        self.processes = [Process(peer, splits, core) for core in places]
        with ThreadPoolExecutor(len(self.processes)) as threads:
            list(threads.map(lambda process: self._prepare(process, arms), self.processes))
        self.startup = time.perf_counter() - began

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.end()

    def train(self, orders: Iterable[Order]) -> tuple[float, list[Trained]]:
        """Train each run on the next free process. Gives the wall time without the stalls."""
        waiting = deque(orders)
        began = time.perf_counter()
        with ThreadPoolExecutor(len(self.processes)) as threads:
            trained = list(threads.map(lambda one: _work_off(one, waiting), self.processes))
        wall = time.perf_counter() - began
        # What stalls is one process's whole time; with several none has one.
        stalls = max(sum(run.stall for run in runs) for runs in trained)
        return wall - stalls, [run for runs in trained for run in runs]

    def _prepare(self, process: Process, arms: Sequence[Order]) -> None:
        process.started()
        for order in arms:
            process.ask(order)


def _work_off(process: Process, waiting: "deque[Order]") -> list[Trained]:
    done: list[Trained] = []
    while True:
        try:
            order = waiting.popleft()
        except IndexError:
            return done
        done.append(process.train(order))
