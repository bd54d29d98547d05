"""A scheduler and workers as processes of their own, each at an address of this machine's loopback.

Linux answers at all of 127.0.0.0/8, so they talk as two hosts would, but for the distance.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from conftest import wait_until


class Processes:
    """Those of one test, started in the folder `scratch`; all end with it."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._started: list[subprocess.Popen[bytes]] = []

    def scheduler(self) -> tuple[str, subprocess.Popen[bytes]]:
        """Start a scheduler; its address and its process."""
        file = self._scratch / f"scheduler-{len(self._started)}.json"
        process = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
            "--scheduler-file", str(file),
        )  # fmt: skip
        assert wait_until(file.exists, 60)
        # It is written in one go, but for the address alone.
        return _address(file), process

    def worker(
        self, scheduler: str, host: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker at an address of its own."""
        return self._start(
            "worker", scheduler, "--host", host, "--nthreads", "1", "--no-nanny",
            "--no-dashboard", "--local-directory", str(self._scratch),
            environment=environment,
        )  # fmt: skip

    def _start(
        self, kind: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self._scratch / f"{kind}-{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options],
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
    import json

    for _ in range(100):
        try:
            return str(json.loads(file.read_text())["address"])
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
