"""The champion over HTTP: MLflow's own scoring server, behind a guard that names what is wrong.

Alone, MLflow's server predicts something for NaN and for pixels up to 255, answers 500 to a deep
nest of brackets, and gives the images back in its messages on a wrong shape.
"""

import asyncio
import contextlib
import ipaddress
import json
import socket
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from email.message import EmailMessage
from typing import Any, NamedTuple, TypeAlias

# Before mlflow, which reads the settings made there while it is imported.
from lr_ceiling.tracking import open_store, store_uri  # isort: skip

import numpy as np
import uvicorn
from mlflow.pyfunc import scoring_server

from lr_ceiling.errors import RegistryError, ServingError
from lr_ceiling.live import counts, last_known, predictor, registry

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

# MLflow's protocol names the images either way.
KEYS = ("inputs", "instances")
# As JSON an image takes up to 15 KB; more than these would keep others waiting for seconds.
MAX_IMAGES = 1000
MAX_BYTES = 20_000_000
TOO_LARGE = f"the body has more than {MAX_BYTES:,} bytes: send fewer images"
# So much of a body that is refused is taken in and dropped.
MAX_DROPPED = 10 * MAX_BYTES
# On loopback 20 MB take 0.1 s. Who sends a byte now and then would hold his place for ever.
READ_SECONDS = 30
CHARSETS = ("utf-8", "utf8")
IMAGE = (28, 28, 1)
SEND = 'send {"inputs": [image, ...]}'


class RequestError(Exception):
    """A request that the model must not see: an HTTP status, and what to do in one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Served(NamedTuple):
    """What answers: a version's app, and the Unix time since which it does."""

    app: App
    version: int
    since: float


class Guard:
    """ASGI: passes on to `app` what it can answer; the rest gets a 4xx with {"error": message}.

    GET /metrics tells what it has answered, in Prometheus's text format.
    """

    def __init__(self, app: App, version: int) -> None:
        self._served = Served(app, version, time.time())
        self._counts = counts.Counts()
        self._checking = asyncio.Lock()

    def swap(self, app: App, version: int) -> None:
        """Let another version answer from now on; requests under way end on the old one.

        May be called from another thread.
        """
        self._served = Served(app, version, time.time())
        self._counts.swaps += 1

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        served = self._served
        asked = scope["type"] == "http" and scope["path"] == "/invocations"

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                version = (b"x-model-version", str(served.version).encode())
                message["headers"] = [*message.get("headers", []), version]
                if asked:
                    self._counts.answered(message["status"])
            await send(message)

        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("GET", "/metrics"):
            text = self._counts.text(served.version, served.since)
            await _respond(send_named, 200, counts.CONTENT_TYPE, text)
            return
        if not asked or scope["method"] != "POST":
            await served.app(scope, receive, send_named)
            return
        request = _Body(receive)
        try:
            check_headers(scope)
            async with asyncio.timeout(READ_SECONDS):
                body = await request.read()
            # 0.3 s for the largest body: others are answered meanwhile. One at a time, since its
            # numbers take twenty times as much memory as their text.
            async with self._checking:
                await asyncio.to_thread(check_images, body)
        except TimeoutError:
            slow = f"the body took longer than {READ_SECONDS} s: send it at once"
            await _answer(send_named, RequestError(408, slow))
            return
        except RequestError as error:
            if not _awaits_leave(scope):
                await request.drop()
            await _answer(send_named, error)
            return

        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        # MLflow's server knows the plain spelling alone.
        others = [header for header in scope["headers"] if header[0].lower() != b"content-type"]
        scope["headers"] = [*others, (b"content-type", b"application/json")]
        # A body can take long to come: the version that is live now answers.
        served = self._served
        await served.app(scope, replay, send_named)


def check_headers(scope: Mapping[str, Any]) -> None:
    """Raise RequestError unless the request says that it holds plain JSON in UTF-8, not too much.

    Names and values are taken as HTTP spells them: in any case, quoted or not.
    """
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    said = headers.get(b"content-type", "")
    parsed = EmailMessage()
    try:
        parsed["content-type"] = said
    except ValueError:
        said = ""
    charset = str(parsed.get_param("charset", "utf-8")).lower()
    if not said or parsed.get_content_type() != "application/json" or charset not in CHARSETS:
        raise RequestError(415, f"the content type is {said!r}: send application/json")
    coding = headers.get(b"content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestError(415, f"the body is compressed by {coding!r}: send it as it is")
    length = headers.get(b"content-length", "0")
    if not length.isdecimal() or len(length) > 18 or int(length) > MAX_BYTES:
        raise RequestError(413, TOO_LARGE)


def check_images(body: bytes) -> None:
    """Raise RequestError unless `body` is {"inputs": images}, images (n, 28, 28, 1) in [0, 1]."""
    try:
        request = json.loads(body)
    # A deep nest of brackets is a RecursionError.
    except (ValueError, RecursionError):
        raise RequestError(400, f"the body is not JSON: {SEND}") from None
    if not isinstance(request, dict) or len(request) != 1 or not request.keys() & set(KEYS):
        raise RequestError(400, f"the body is not an object of that one key: {SEND}")
    (images,) = request.values()
    try:
        pixels = np.asarray(images)
    except ValueError:
        raise RequestError(
            400, "the images are not of one shape: each must be (28, 28, 1)"
        ) from None
    if pixels.shape[1:] != IMAGE or not 1 <= len(pixels) <= MAX_IMAGES:
        raise RequestError(
            400, f"the shape is {pixels.shape}: it must be (n, 28, 28, 1), n from 1 to {MAX_IMAGES}"
        )
    if pixels.dtype.kind not in "iuf":
        raise RequestError(400, "a pixel is not a number: each must be from 0 to 1")
    if not np.isfinite(pixels).all():
        raise RequestError(400, "a pixel is not finite: each must be from 0 to 1")
    if not ((pixels >= 0) & (pixels <= 1)).all():
        raise RequestError(
            400,
            f"pixels are from {pixels.min():g} to {pixels.max():g}: each must be from 0 (paper) to "
            "1 (ink), so divide bytes by 255",
        )


class Direct:
    """A loaded model as MLflow's scoring server wants it, without the 43 ms of its wrapper."""

    def __init__(self, metadata: Any, network: predictor.Network) -> None:
        """It doesn't keep `network` alive: who serves it does."""
        self.metadata = metadata
        self._network = weakref.ref(network)

    def predict(self, data: Any) -> Any:
        """Images (n, 28, 28, 1) to probabilities (n, 10)."""
        network = self._network()
        assert network
        return network(np.asarray(data, dtype=np.float32))


class ModelApp:
    """MLflow's scoring server of one model, which lives as long as this and no longer.

    FastAPI's routes outlive their app, so they must not hold the model: 1.7 MB a swap would stay.
    """

    def __init__(self, metadata: Any, network: predictor.Network) -> None:
        self._network = network
        self._app: App = scoring_server.init(Direct(metadata, network))  # type: ignore[arg-type]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)


def champion_of(name: str, checked: registry.Version | None = None) -> registry.Version:
    """The version that is live now, its file as it was registered. Raises RegistryError.

    The file of the version `checked` is not looked at again.
    """
    with open_store() as store:
        versions = registry.Registry(store, name)
        champion = versions.at("champion")
        if champion is None:
            last_known.check(versions)
            raise RegistryError(
                f"{name} has no champion in {versions.place}: `lr-ceiling promote` makes one"
            )
        if checked and champion.is_same(checked):
            return champion
        try:
            versions.check_file(champion)
        except RegistryError as error:
            raise RegistryError(f"{error}: {registry.MENDING}") from None
    return champion


def load(name: str, version: int) -> App:
    """MLflow's scoring server of a version, which has answered once. Raises RegistryError."""
    loaded = registry.load(store_uri(), name, version)
    network = predictor.network_of(loaded)
    predictor.check_answer(f"models:/{name}/{version}", network)
    return ModelApp(loaded.metadata, network)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone; a name other than localhost is not."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0 takes a free one. Raises ServingError for a taken port."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ServingError(
            f"{host}:{port} can't be listened on ({error.strerror or error}): name another --port"
        ) from None


def serve(app: App, listener: socket.socket) -> None:
    """Answer requests until the process is told to end."""
    # The lifespan would be the first model's, and keep that model as long as the server runs.
    config = uvicorn.Config(app, log_level="warning", lifespan="off")
    uvicorn.Server(config).run([listener])


class _Body:
    """The body of a request, as it comes."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._more = True

    async def read(self) -> bytes:
        """All of it. Raises RequestError for more than MAX_BYTES."""
        body = bytearray()
        while self._more:
            body += await self._part()
            if len(body) > MAX_BYTES:
                raise RequestError(413, TOO_LARGE)
        return bytes(body)

    async def drop(self) -> None:
        """Take in what a refused client still sends: closed under it, it would get no answer."""
        dropped = 0
        with contextlib.suppress(TimeoutError, RequestError):
            async with asyncio.timeout(READ_SECONDS):
                while self._more and dropped < MAX_DROPPED:
                    dropped += len(await self._part())

    async def _part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._more = False
            raise RequestError(400, "the connection ended before the request did")
        self._more = message.get("more_body", False)
        part: bytes = message.get("body", b"")
        return part


def _awaits_leave(scope: Mapping[str, Any]) -> bool:
    """Whether the client asks before it sends the body: it need not be told to."""
    return any(name.lower() == b"expect" for name, _ in scope["headers"])


async def _answer(send: Send, error: RequestError) -> None:
    await _respond(send, error.status, "application/json", json.dumps({"error": str(error)}))


async def _respond(send: Send, status: int, kind: str, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
