"""The guard of the server, by itself; tests/pipeline/test_serve.py asks the whole over HTTP."""

import asyncio
import gc
import json
import weakref

import numpy as np
import pytest

from conftest import in_a_loop
from lr_ceiling.live.serving import (
    MAX_BYTES,
    MAX_IMAGES,
    Guard,
    Message,
    Receive,
    RequestError,
    Send,
    check_headers,
    check_images,
)


@pytest.mark.parametrize("images", [1, MAX_IMAGES])
def test_images_pass(images: int) -> None:
    image = np.linspace(0, 1, 28 * 28).reshape(28, 28, 1).tolist()
    check_images(json.dumps({"inputs": [image] * images}).encode())
    # Whole numbers are numbers too.
    check_images(json.dumps({"instances": np.ones((1, 28, 28, 1), int).tolist()}).encode())


@pytest.mark.parametrize(
    "shape",
    [
        (28, 28),
        (28, 28, 1),
        (1, 28, 28),
        (2, 27, 28, 1),
        (1, 28, 28, 3),
        (0,),
        (MAX_IMAGES + 1, 28, 28, 1),
    ],
    ids=str,
)
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    body = json.dumps({"inputs": np.zeros(shape, dtype=int).tolist()}).encode()
    with pytest.raises(RequestError) as error:
        check_images(body)
    assert error.value.status == 400
    assert str(error.value).startswith(f"the shape is {shape}: it must be (n, 28, 28, 1)")


def test_truth_is_no_pixel() -> None:
    body = json.dumps({"inputs": np.zeros((1, 28, 28, 1), dtype=bool).tolist()}).encode()
    with pytest.raises(RequestError, match="a pixel is not a number"):
        check_images(body)


def headers(**values: str) -> Message:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in values.items()]
    return {"type": "http", "path": "/invocations", "method": "POST", "headers": named}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        'application/json ; charset="UTF-8"',
        "application/json; charset=utf8;",
    ],
)
def test_any_legal_spelling_of_the_type_passes(kind: str) -> None:
    check_headers(headers(content_type=kind))
    check_headers(headers(Content_Type=kind, Content_Encoding="Identity"))


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"content_type": "text/csv"}, 415),
        ({"content_type": ""}, 415),
        ({}, 415),
        ({"content_type": "application/json, text/csv"}, 415),
        ({"content_type": "application/json; charset=utf-16"}, 415),
        ({"content_encoding": "gzip"}, 415),
        ({"content_length": str(MAX_BYTES + 1)}, 413),
        ({"content_length": "9" * 5000}, 413),
        ({"content_length": "-1"}, 413),
    ],
    ids=str,
)
def test_other_headers_are_refused_before_the_body_is_read(
    said: dict[str, str], status: int
) -> None:
    plain = (
        {} if said.keys() & {"content_type"} or not said else {"content_type": "application/json"}
    )
    with pytest.raises(RequestError) as error:
        check_headers(headers(**(plain | said)))
    assert error.value.status == status


def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lr_ceiling.live.serving.READ_SECONDS", 0.05)
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.sleep(60)
        return {}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        async def app(scope: Message, receive: object, send: object) -> None:
            raise AssertionError

        await Guard(app, 1)(headers(content_type="application/json"), never, send)

    in_a_loop(ask())
    assert sent[0]["status"] == 408
    assert b"send it at once" in sent[1]["body"]


def test_the_model_is_asked_in_the_plain_spelling_with_the_whole_body() -> None:
    body = json.dumps({"inputs": np.zeros((1, 28, 28, 1)).tolist()}).encode()
    parts = [body[:50], body[50:]]
    seen: list[tuple[Message, Message]] = []
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        seen.append((scope, await receive()))
        await send({"type": "http.response.start", "status": 200, "headers": []})

    spelled = 'Application/JSON; Charset="UTF-8"'
    in_a_loop(Guard(app, 3)(headers(Content_Type=spelled, x_other="1"), receive, send))
    ((scope, message),) = seen
    assert scope["headers"] == [(b"x-other", b"1"), (b"content-type", b"application/json")]
    assert message["body"] == body
    assert sent[0]["headers"] == [(b"x-model-version", b"3")]


def test_a_body_that_is_refused_is_taken_in_before_the_answer() -> None:
    happened: list[str] = []
    parts = [b" " * MAX_BYTES, b" ", b" "]

    async def receive() -> Message:
        happened.append("part")
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        happened.append(f"{message['type']} {message.get('status', '')}".strip())

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise AssertionError

    said = {"content_type": "application/json"}
    for more in ({}, {"content_length": "9" * 12}):
        parts[:], happened[:] = [b" " * MAX_BYTES, b" ", b" "], []
        in_a_loop(Guard(app, 1)(headers(**said, **more), receive, send))
        assert happened == [*["part"] * 3, "http.response.start 413", "http.response.body"]
    # Who asks for leave first gets the answer alone.
    parts[:], happened[:] = [b" "], []
    in_a_loop(Guard(app, 1)(headers(content_length="9" * 12, expect="100-continue"), receive, send))
    assert happened[0] == "http.response.start 415"


def test_a_body_without_an_end_is_dropped_only_so_far() -> None:
    received, sent = [0], list[Message]()

    async def endless() -> Message:
        received[0] += MAX_BYTES
        return {"type": "http.request", "body": b" " * MAX_BYTES, "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        raise AssertionError

    in_a_loop(Guard(app, 1)(headers(content_type="application/json"), endless, send))
    assert sent[0]["status"] == 413
    assert received[0] == 12 * MAX_BYTES


class Answers:
    """An app that answers once it may; what was sent to its clients is kept."""

    def __init__(self) -> None:
        self.may = asyncio.Event()
        self.asked = asyncio.Event()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.may.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


async def ask(guard: Guard, body: bytes, path: str = "/invocations", method: str = "POST") -> str:
    """What the guard sends: status, version, and a body that is not JSON."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {**headers(content_type="application/json"), "path": path, "method": method}
    await guard(scope, receive, send)
    start, *parts = sent
    text = b"".join(part["body"] for part in parts).decode()
    version = dict(start["headers"])[b"x-model-version"].decode()
    return f"{start['status']} by {version}" if method == "POST" else text


IMAGE = json.dumps({"inputs": np.zeros((1, 28, 28, 1)).tolist()}).encode()


def test_a_request_under_way_ends_on_the_old_model_and_later_ones_get_the_new() -> None:
    async def swap_meanwhile() -> None:
        old, new = Answers(), Answers()
        guard = Guard(old, 1)
        under_way = asyncio.create_task(ask(guard, IMAGE))
        await old.asked.wait()
        guard.swap(new, 2)
        new.may.set()
        assert await ask(guard, IMAGE) == "200 by 2"
        assert not under_way.done()
        old.may.set()
        assert await under_way == "200 by 1"
        # Nobody holds the old model any more.
        released = weakref.ref(old)
        del old, under_way
        gc.collect()
        assert released() is None

    in_a_loop(swap_meanwhile())


def test_what_was_answered_is_counted_by_status() -> None:
    async def count() -> str:
        app = Answers()
        app.may.set()
        guard = Guard(app, 1)
        for body in (IMAGE, IMAGE, b"no JSON"):
            await ask(guard, body)
        # Whether it is up is no request to the model.
        await ask(guard, b"", "/ping")
        guard.swap(app, 7)
        return await ask(guard, b"", "/metrics", "GET")

    lines = in_a_loop(count()).splitlines()
    shown = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert float(shown.pop("lr_ceiling_model_since_timestamp_seconds")) > 1.7e9
    assert shown == {
        'lr_ceiling_requests_total{status="200"}': "2",
        'lr_ceiling_requests_total{status="400"}': "1",
        "lr_ceiling_model_version": "7",
        "lr_ceiling_swaps_total": "1",
    }
