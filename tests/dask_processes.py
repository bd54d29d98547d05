"""A scheduler and workers as processes of their own, the workers on hosts of their own.

A host is a network namespace with a line to this one. Where none may be made, it is an address of
loopback: Linux answers at all of 127.0.0.0/8.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from waiting import wait_until


@dataclass(frozen=True)
class Host:
    """Where a worker runs: its address, this machine's as it sees it, and what begins a command."""

    address: str
    here: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


LOOPBACK = (Host("127.0.0.2"), Host("127.0.0.3"))


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Give two hosts, which end with the context."""
    # Tests run side by side.
    network, names = (
        os.getpid() % 250,
        [f"lrc{os.getpid() % 100_000}-{number}" for number in (0, 1)],
    )
    found: list[Host] = []
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(names):
            here, there = (f"10.213.{network}.{4 * number + end}" for end in (1, 2))
            stack.callback(_ip, "netns", "del", name)
            if not _connected(name, here, there):
                yield LOOPBACK
                return
            found.append(Host(there, here, ("ip", "netns", "exec", name)))
        yield found[0], found[1]


def _connected(name: str, here: str, there: str) -> bool:
    """Make a network namespace and a line to it; whether that is allowed."""
    inside, outside = f"{name}i", f"{name}o"
    within = ("-n", name)
    return all(
        _ip(*command)
        for command in (
            ("netns", "add", name),
            ("link", "add", outside, "type", "veth", "peer", "name", inside),
            ("link", "set", inside, "netns", name),
            ("addr", "add", f"{here}/30", "dev", outside),
            ("link", "set", outside, "up"),
            (*within, "addr", "add", f"{there}/30", "dev", inside),
            (*within, "link", "set", inside, "up"),
            (*within, "link", "set", "lo", "up"),
        )
    )


def _ip(*command: str) -> bool:
    if shutil.which("ip") is None:
        return False
    return subprocess.run(["ip", *command], capture_output=True).returncode == 0


class Processes:
    """Those of one test, started in the folder `scratch`; all end with it."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._started: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> tuple[str, subprocess.Popen[bytes]]:
        """Start a scheduler; its address on this machine and its process."""
        file = self._scratch / f"scheduler-{len(self._started)}.json"
        process = self._start(
            "scheduler", "--host", "0.0.0.0", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        assert wait_until(file.exists, 60)
        # It is written in one go, but for the address alone.
        return _address(file), process

    def worker(
        self, scheduler: str, host: Host, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker on a host; `scheduler` is that one's address on this machine."""
        _, _, port = scheduler.rpartition(":")
        return self._start(
            "worker", f"tcp://{host.here}:{port}", "--host", host.address, "--nthreads", "1",
            "--no-nanny", "--no-dashboard", "--local-directory", str(self._scratch),
            environment=environment, prefix=host.prefix,
        )  # fmt: skip

    def _start(
        self,
        kind: str,
        *options: str,
        environment: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (),
    ) -> subprocess.Popen[bytes]:
        with (self._scratch / f"{kind}-{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def end(self) -> None:
        """End them all."""
        for process in self._started:
            process.kill()
            process.wait()


def _address(file: Path) -> str:
    for _ in range(100):
        try:
            _, _, port = str(json.loads(file.read_text())["address"]).rpartition(":")
            return f"tcp://127.0.0.1:{port}"
        except ValueError:
            time.sleep(0.1)
    raise AssertionError(file.read_text())


@contextmanager
def dask_processes(scratch: Path) -> Iterator[Processes]:
    """Give them."""
    processes = Processes(scratch)
    try:
        yield processes
    finally:
        processes.end()
