"""Workers of a Dask scheduler.

A plugin copies the files that runs need to each worker once, including workers that join later. A
worker with the required description then offers a place for one run at a time, as a Dask resource
that runs request.
"""

import asyncio
import contextlib
import hashlib
import importlib
import logging
import queue
import secrets
import time
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lr_ceiling.errors import MissingExtra, WorkerError
from lr_ceiling.execution.admission import Told, Versioned, other_arithmetic, refusal, told_here
from lr_ceiling.execution.files import write_bytes
from lr_ceiling.execution.remote import (
    PATIENCE,
    Needs,
    RemoteExecutor,
    Reply,
    SchedulerGoneError,
    Started,
    WorkerLostError,
    data_of,
    execute,
)

try:
    import distributed
    from distributed import Client, KilledWorker, WorkerPlugin, get_worker
except ImportError:
    raise MissingExtra("a cluster needs dask: pip install 'lr-ceiling[cluster]'") from None

# Prefix of all our names on a scheduler; the client's name follows it.
NAME = "lr-ceiling"
# Seconds to wait for a scheduler's answer.
ANSWERS = 10.0


class DaskCluster:
    """The workers of a Dask scheduler, for `find_ceiling(executor=...)`.

    `at` is the scheduler's address, or a Client that is connected to it. If a run takes longer than
    `time_out` seconds on a worker, a second worker runs it too. Workers whose arithmetic gives
    other last digits are reported, and refused if `strict`. The search ends if no worker takes a
    run for `patience` seconds.
    """

    def __init__(
        self,
        at: "str | Client",
        *,
        strict: bool = False,
        time_out: float | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._at = at
        self._strict, self._time_out, self._patience = strict, time_out, patience

    @contextlib.contextmanager
    def opened(self, needs: Needs) -> Iterator[RemoteExecutor]:
        """An executor on all workers, prepared for runs, including workers that join later.

        Raises WorkerError if no scheduler answers, or a worker can't be prepared.
        """
        wanted = needs.wanted()
        with contextlib.ExitStack() as stack:
            client = self._at
            if isinstance(client, str):
                client = stack.enter_context(_connected(client))
            workers = stack.enter_context(_prepared(client, needs, wanted, self._strict))
            executor = RemoteExecutor(
                workers,
                wanted,
                files=needs.files,
                strict=self._strict,
                time_out=self._time_out,
                patience=self._patience,
            )
            stack.callback(executor.shutdown)
            yield executor


def cluster_of(executor: object) -> DaskCluster | None:
    """The cluster of a Client or of its `get_executor()`; None for any other object."""
    if isinstance(executor, Client):
        return DaskCluster(executor)
    if isinstance(executor, distributed.cfexecutor.ClientExecutor):
        return DaskCluster(executor._client)
    return None


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    # It logs a page when a scheduler is gone, even after it was closed. We report it in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=ANSWERS, set_as_default=False)
    # An invalid address, a wrong certificate, or a machine that does not answer.
    except (OSError, TypeError, ValueError, RuntimeError) as error:
        raise WorkerError(
            f"no scheduler answers at {address} ({_in_a_line(error)}): start one by `dask "
            "scheduler`, or search without it"
        ) from None
    try:
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=1)


@contextlib.contextmanager
def _prepared(client: Client, needs: Needs, wanted: Told, strict: bool) -> Iterator["_Workers"]:
    name = f"{NAME}:{client.id}:{secrets.token_hex(4)}"
    contents = {digest: path.read_bytes() for path, digest in needs.files.carried.items()}
    plugin = Delivery(name, contents, wanted, needs.versioned, needs.prepared_by, strict)
    workers = _Workers(client, name)
    try:
        # Plugins of killed drivers.
        for abandoned in client.run_on_scheduler(_abandoned):
            client.unregister_worker_plugin(abandoned)
        client.subscribe_topic(name, workers.hear)
        _register(client, plugin, name)
        # Descriptions that workers sent before the scheduler knew our subscription.
        for told in client.run(_told, name, on_error="ignore").values():
            workers.tell(told)
    except (OSError, CancelledError) as error:
        raise SchedulerGoneError(f"{workers.name} is gone ({_in_a_line(error)})") from None
    try:
        yield workers
    finally:
        # A scheduler that is gone has nothing left to remove.
        if client.status == "running":
            with contextlib.suppress(Exception):
                client.unsubscribe_topic(name)
                client.unregister_worker_plugin(name)


def _register(client: Client, plugin: "Delivery", name: str) -> None:
    try:
        client.register_plugin(plugin, name=name)
    # A worker ended meanwhile.
    except OSError:
        if client.status != "running":
            raise
    # Any error of unpickling there.
    except Exception as error:
        raise WorkerError(
            f"a worker can't be made ready ({_in_a_line(error)}): install the same lr-ceiling "
            "with its extra cluster on all machines"
        ) from None


def _abandoned(dask_scheduler: Any) -> list[str]:
    """Our plugins whose clients are gone."""
    ours = [name for name in dask_scheduler.worker_plugins if name.startswith(f"{NAME}:")]
    return [name for name in ours if name.split(":")[1] not in dask_scheduler.clients]


def _told(name: str, dask_worker: Any) -> Told | None:
    plugin: Delivery | None = dask_worker.plugins.get(name)
    return None if plugin is None else plugin.told


class Delivery(WorkerPlugin):  # type: ignore[misc]
    """Copies the `contents` of files, by SHA-256, to a worker, and makes it describe itself."""

    def __init__(
        self,
        name: str,
        contents: Mapping[str, bytes],
        wanted: Told,
        versioned: Versioned,
        prepared_by: str | None,
        strict: bool,
    ) -> None:
        self.name = name
        self.told: Told | None = None
        self.files: dict[str, Path] = {}
        self._contents, self._wanted, self._versioned = contents, wanted, versioned
        self._prepared_by, self._strict = prepared_by, strict

    async def setup(self, worker: Any) -> None:
        """Prepare a worker. It offers a place only if it has the required description."""
        folder = Path(worker.local_directory) / NAME
        # Importing TensorFlow takes longer than a worker may stay silent.
        told = await asyncio.to_thread(self._prepare, worker.address, folder)
        self.told = told
        worker.log_event(self.name, {"told": asdict(told)})
        refused = refusal(self._wanted, told) or (
            self._strict and other_arithmetic(self._wanted, told)
        )
        if not refused:
            await worker.set_resources(**{self.name: 1})

    async def teardown(self, worker: Any) -> None:
        """Take the place away."""
        if self.name in worker.state.total_resources:
            await worker.set_resources(**{self.name: 0})
        for path in self.files.values():
            path.unlink(missing_ok=True)

    def _prepare(self, address: str, folder: Path) -> Told:
        failure = None
        try:
            for digest, content in self._contents.items():
                path = folder / f"{digest[:16]}-{secrets.token_hex(4)}"
                write_bytes(path, content)
                self.files[digest] = path
            self._contents = {}
            if self._prepared_by:
                importlib.import_module(self._prepared_by).prepare()
            found = (hashlib.sha256(path.read_bytes()).hexdigest() for path in self.files.values())
            data = data_of(found)
        # Any error of an import. If the plugin raised it, only the worker's log would show it.
        except Exception as error:
            failure, data = f"it can't be made ready ({_in_a_line(error)})", {}
        return replace(told_here(address, self._versioned, data), failure=failure)


class _Workers:
    """The workers of a scheduler that offer places of this name."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._place = client, name
        self._heard: queue.SimpleQueue[Told | Started] = queue.SimpleQueue()
        self.name = f"the scheduler {client.scheduler.address}"

    def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Receive a worker's message, in a thread of the client."""
        _, said = event
        if "told" in said:
            self.tell(Told(**said["told"]))
        else:
            self._heard.put(Started(said["attempt"], said["worker"]))

    def tell(self, told: Told | None) -> None:
        """Receive a worker's description."""
        if told is not None:
            self._heard.put(told)

    def start(self, attempt: str, call: bytes, without: Collection[str]) -> "Future[Reply]":
        """Let a worker execute a call."""
        places = sorted(set(self.present() or ()) - set(without)) if without else []
        try:
            # Not `get_executor`, whose futures print errors to stderr when they are cancelled.
            inner = self._client.submit(
                _execute, self._place, attempt, call,
                pure=False, resources={self._place: 1}, workers=places or None,
            )  # fmt: skip
        # Raised by a client that is closed.
        except Exception as error:
            raise SchedulerGoneError(f"{self.name} is gone ({_in_a_line(error)})") from None
        outer: Future[Reply] = Future()
        inner.add_done_callback(lambda ended: self._pass_on(ended, outer))
        # This also keeps a reference to Dask's future, which would otherwise be released.
        outer.add_done_callback(lambda ended: inner.cancel() if ended.cancelled() else None)
        return outer

    def news(self) -> list[Told | Started]:
        """The workers' messages since the last call."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._heard.get_nowait())
        return found

    def present(self) -> Collection[str] | None:
        """The workers' addresses; None while the scheduler does not answer."""
        try:
            return set(self._client.scheduler_info(n_workers=-1)["workers"])
        except (OSError, CancelledError):
            return None

    def wait(self, futures: Collection["Future[Reply]"], seconds: float) -> None:
        """Wait until a run has ended, at most `seconds`."""
        if self._client.status != "running":
            raise SchedulerGoneError(f"{self.name} is gone")
        if futures:
            wait(futures, seconds, FIRST_COMPLETED)
        else:
            time.sleep(seconds)

    def clock(self) -> float:
        """Seconds of a monotonic clock."""
        return time.monotonic()

    def _pass_on(self, inner: Any, outer: "Future[Reply]") -> None:
        """Pass on the result of a run, in a thread of the client."""
        if not outer.set_running_or_notify_cancel():
            return
        try:
            outer.set_result(inner.result())
        except KilledWorker as error:
            outer.set_exception(WorkerLostError(error.allowed_failures + 1))
        except WorkerLostError as error:
            outer.set_exception(error)
        # The client cancels all futures when it loses its scheduler.
        except (CancelledError, OSError):
            outer.set_exception(SchedulerGoneError(f"{self.name} is gone"))
        except Exception as error:
            outer.set_exception(WorkerError(f"{self.name}: {_in_a_line(error)}"))


def _execute(place: str, attempt: str, call: bytes) -> Reply:
    worker = get_worker()
    plugin = worker.plugins.get(place)
    if plugin is None or plugin.told is None:
        # The driver is about to end.
        raise WorkerLostError
    worker.log_event(place, {"attempt": attempt, "worker": worker.address})
    return execute(call, plugin.files, plugin.told)


def _in_a_line(error: BaseException) -> str:
    message = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
