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
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from lr_ceiling.errors import MissingExtra, ParamsError, WorkerError
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
    say,
)

try:
    import distributed
    from distributed import Client, KilledWorker, WorkerPlugin, get_worker
except ImportError:
    raise MissingExtra("DaskCluster needs distributed: pip install 'lr-ceiling[cluster]'") from None

# Prefix of all our names on a scheduler; the client's name follows it.
NAME = "lr-ceiling"
# Seconds within which a scheduler answers, in which one worker gets ready, in which the others do
# after that, and after which a scheduler that is connected and says nothing counts as gone.
ANSWERS = 10.0
READY, OTHERS = 60.0, 10.0
SILENT = 300.0
Answer = TypeVar("Answer")


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
        if not isinstance(at, str | Client):
            raise ParamsError(
                f"the cluster is {at!r:.50}: give the scheduler's address, such as "
                "tcp://10.0.0.1:8786, or a Client"
            )
        for name, seconds in (("time_out", time_out), ("patience", patience)):
            if seconds is not None and not seconds > 0:
                raise ParamsError(f"{name} is {seconds}: it must be above 0 seconds")
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
            _check(client)
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
        if executor._kwargs:
            options = ", ".join(executor._kwargs)
            raise ParamsError(
                f"executor was made by get_executor({options}=...): a search uses all workers of "
                "its scheduler; give the Client itself"
            )
        return DaskCluster(executor._client)
    return None


def _check(client: Client) -> None:
    if client.asynchronous:
        raise ParamsError("the Client is asynchronous: give one without asynchronous=True")
    if client.status != "running" or client.scheduler is None:
        raise WorkerError(f"the Client is {client.status}: connect another one")


def _within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """What a call comes to. Raises TimeoutError where it takes longer: Dask's have no deadline."""
    return _in_thread(ask).result(seconds)


def _in_thread(ask: Callable[[], Answer]) -> Future[Answer]:
    """A call that goes on in a thread of its own, which no end of the program waits for."""
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True, name=NAME).start()
    return answer


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    # It logs a page when a scheduler is gone, even after it was closed. We report it in one line.
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
    try:
        # A Client that can't connect ends 20 s later, with a traceback; so we try by ourselves.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, _connect(address)).result()
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


async def _connect(address: str) -> None:
    how = distributed.Security().get_connection_args("client")
    comm = await distributed.comm.connect(address, timeout=ANSWERS, **how)
    await comm.close()


@contextlib.contextmanager
def _prepared(client: Client, needs: Needs, wanted: Told, strict: bool) -> Iterator["_Workers"]:
    name = f"{NAME}:{client.id}:{secrets.token_hex(4)}"
    contents = {digest: path.read_bytes() for path, digest in needs.files.carried.items()}
    plugin = Delivery(name, contents, wanted, needs.versioned, needs.prepared_by, strict)
    workers = _Workers(client, name)
    try:
        try:
            _within(ANSWERS, lambda: _remove_abandoned(client))
            client.subscribe_topic(name, workers.hear)
            _deliver(client, plugin, workers)
        # A time-out is an OSError, too.
        except (OSError, CancelledError) as error:
            raise SchedulerGoneError(f"{workers.name} is gone ({_in_a_line(error)})") from None
        yield workers
    finally:
        # A scheduler that is gone has nothing left to remove.
        if client.status == "running":
            with contextlib.suppress(Exception):
                client.unsubscribe_topic(name)
                _within(ANSWERS, lambda: client.unregister_worker_plugin(name))


def _remove_abandoned(client: Client) -> None:
    """Remove the plugins of drivers that were killed."""
    prefix = f"{NAME}:"

    # By value, since a scheduler need not have our package to tell.
    def abandoned(dask_scheduler: Any) -> list[str]:
        ours = [name for name in dask_scheduler.worker_plugins if name.startswith(prefix)]
        return [name for name in ours if name.split(":")[1] not in dask_scheduler.clients]

    for name in client.run_on_scheduler(abandoned):
        # Another driver may remove it as well.
        with contextlib.suppress(ValueError):
            client.unregister_worker_plugin(name)


def _deliver(client: Client, plugin: "Delivery", workers: "_Workers") -> None:
    """Bring all workers the plugin; go on when they are ready, or when some are and time is up.

    Raises WorkerError where no worker can unpack it.
    """
    # The scheduler answers when every worker has, also one that hangs.
    registered = _in_thread(lambda: client.register_plugin(plugin, name=plugin.name))
    begun = time.monotonic()
    while not registered.done() and time.monotonic() - begun < READY:
        if workers.told_first is not None and time.monotonic() - workers.told_first > OTHERS:
            break
        time.sleep(0.02)
    # What they told before the scheduler knew that we listen.
    for event in _within(ANSWERS, lambda: client.get_events(plugin.name)):
        workers.hear(event)
    error = registered.exception() if registered.done() else None
    # A worker that ends meanwhile is an OSError.
    if isinstance(error, OSError):
        if client.status != "running":
            raise error
    elif error is not None:
        said = (
            f"a worker can't be made ready ({_in_a_line(error)}): install the same lr-ceiling with "
            "its extra cluster on all machines"
        )
        if workers.told_first is None:
            raise WorkerError(said)
        say(said)


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
        # When the first worker told what it is, and when the scheduler answered last.
        self.told_first: float | None = None
        self._answered = time.monotonic()

    def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Receive a worker's message, in a thread of the client."""
        _, said = event
        if "told" in said:
            self.told_first = self.told_first or time.monotonic()
            self._heard.put(Told(**said["told"]))
        elif "attempt" in said:
            self._heard.put(Started(said["attempt"], said["worker"]))

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
        """The addresses of the workers; None while the scheduler does not answer.

        Raises SchedulerGoneError where it has not answered for SILENT seconds.
        """
        try:
            found = _within(ANSWERS, lambda: self._client.scheduler_info(n_workers=-1))
        except (OSError, CancelledError):
            silent = time.monotonic() - self._answered
            if silent > SILENT:
                raise SchedulerGoneError(
                    f"{self.name} has not answered for {silent:.0f} s"
                ) from None
            return None
        self._answered = time.monotonic()
        return set(found["workers"])

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
