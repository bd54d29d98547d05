"""`lr-ceiling serve` as a process: right answers to digits over HTTP, a 4xx to everything else."""

import gc
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import ROOT
from hostile import hostile
from lr_ceiling import tracking
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.live import serving
from lr_ceiling.live.predictor import Predictor, as_input
from lr_ceiling.live.registry import MENDING, SHA256, Registry
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.pipeline.commands import serve
from registering import promote
from waiting import WAIT_SECONDS, wait_until


class Answer(NamedTuple):
    """What the server said; `version` is the model's."""

    status: int
    body: Any
    version: str | None


class Client:
    """Sends requests to a server on loopback."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        # The server's project.
        self.folder = folder

    def post(
        self, body: bytes, kind: str = "application/json", path: str = "/invocations"
    ) -> Answer:
        request = Request(f"http://127.0.0.1:{self.port}{path}", body, {"Content-Type": kind})
        try:
            with urlopen(request, timeout=WAIT_SECONDS) as response:
                read = response.read()
                return Answer(
                    response.status, json.loads(read), response.headers["X-Model-Version"]
                )
        except HTTPError as error:
            return Answer(error.code, json.loads(error.read()), error.headers["X-Model-Version"])

    def metrics(self) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=WAIT_SECONDS) as response:
            return str(response.read().decode())

    def ask(self, images: object, key: str = "inputs") -> Answer:
        return self.post(json.dumps({key: images}).encode())


@pytest.fixture(scope="module")
def client(
    trained: list[tuple[RunResult, Path]],
    empty_database: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Client]:
    """The command as a process, on the first trained model, which was registered and promoted.

    Its environment is one that would change the answers.
    """
    folder = tmp_path_factory.mktemp("served")
    (folder / "mlruns").mkdir()
    shutil.copy(empty_database, folder / "mlruns")
    shutil.copy(ROOT / "params.yaml", folder)
    run, model = trained[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with tracking.open_store() as store:
            store.log_train("cell", [run], model.parent)
            registry = Registry(store, "lr-ceiling")
            version = registry.put_forward(store.model_of(run), {SHA256: sha256_of(model)})
            registry.promote(version, None)
    command = [sys.executable, "-m", "lr_ceiling.pipeline.cli", "serve", "--port", "0"]
    command += ["--poll", "0.2"]
    with subprocess.Popen(
        command, cwd=folder, env=hostile(folder), stdout=subprocess.PIPE, text=True
    ) as process:
        guard = threading.Timer(600, process.kill)
        guard.start()
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith("serving version 1 of lr-ceiling on http://127.0.0.1:")
        yield Client(urlsplit(said.split()[-1]).port or 0, folder)
        process.send_signal(signal.SIGTERM)
        guard.cancel()
    assert process.returncode == -signal.SIGTERM


@pytest.fixture(scope="module")
def digits(small_splits: Path) -> dataset.Split:
    """Images that the model has not seen."""
    part = dataset.read_split(small_splits, "test")
    return dataset.Split(part.images[:20], part.labels[:20])


@pytest.mark.parametrize("key", ["inputs", "instances"])
def test_digits_are_recognised(client: Client, digits: dataset.Split, key: str) -> None:
    answer = client.ask(as_input(digits.images).tolist(), key)
    assert (answer.status, answer.version) == (200, "1")
    probabilities = np.array(answer.body["predictions"])
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert (probabilities.argmax(axis=1) == digits.labels).mean() >= 0.95


def test_the_environment_changes_no_answer(
    client: Client, digits: dataset.Split, trained: list[tuple[RunResult, Path]]
) -> None:
    with Predictor() as predictor:
        expected = predictor.of_file(trained[0][1], digits.images).probabilities
    answer = client.ask(as_input(digits.images).tolist())
    assert np.array(answer.body["predictions"], np.float32).tobytes() == expected.tobytes()


def test_many_ask_at_once(client: Client, digits: dataset.Split) -> None:
    images = as_input(digits.images)[:, np.newaxis].tolist()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(client.ask, images))
    together = client.ask(as_input(digits.images).tolist()).body["predictions"]
    assert [answer.status for answer in answers] == [200] * len(images)
    for answer, probabilities in zip(answers, together, strict=True):
        assert answer.body["predictions"][0] == pytest.approx(probabilities, abs=1e-5)


def test_without_a_champion_there_is_nothing_to_serve(project: Path) -> None:
    shown = CliRunner().invoke(serve.main, ["--port", "0"])
    assert (shown.exit_code, shown.stderr) == (
        1,
        f"error: lr-ceiling has no champion in sqlite:///{project}/mlruns/mlflow.db: "
        "`lr-ceiling promote` makes one\n",
    )


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        *((host, True) for host in ("127.0.0.1", "127.3.2.1", "::1", "localhost")),
        *((host, False) for host in ("0.0.0.0", "::", "192.168.0.2", "example.org")),
    ],
)
def test_an_address_that_others_reach_is_known(host: str, alone: bool) -> None:
    assert serving.is_loopback(host) is alone


def test_a_damaged_model_is_not_served(project: Path) -> None:
    with tracking.open_store() as store:
        registry = Registry(store, "lr-ceiling")
        promote(store, registry, 0)
        champion = registry.at("champion")
    assert champion
    (Path(champion.source) / "data" / "model.keras").write_bytes(b"something else")
    shown = CliRunner().invoke(serve.main, ["--port", "0"])
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: models:/lr-ceiling/1 has SHA-256 ")
    assert shown.stderr.endswith(f": it is not what was registered: {MENDING}\n")
    assert shown.stderr.count("\n") == 1


def test_a_taken_port_is_told_in_one_line(
    client: Client, project: Path, trained: list[tuple[RunResult, Path]]
) -> None:
    shown = CliRunner().invoke(serve.main, ["--port", str(client.port)])
    assert shown.exit_code == 1
    assert shown.stderr.startswith(f"error: 127.0.0.1:{client.port} can't be listened on (")
    assert shown.stderr.endswith("): name another --port\n")


@pytest.mark.parametrize(
    ("pixel", "said"),
    [
        (float("nan"), "a pixel is not finite"),
        (float("inf"), "a pixel is not finite"),
        (255, "pixels are from 0 to 255: each must be from 0 (paper) to 1 (ink), so divide"),
        (-0.1, "pixels are from -0.1 to 0"),
        ("0", "a pixel is not a number"),
        (None, "a pixel is not a number"),
        (10**400, "a pixel is not a number"),
    ],
    ids=str,
)
def test_impossible_pixels_are_named(client: Client, pixel: object, said: str) -> None:
    image: list[Any] = np.zeros((1, 28, 28, 1)).tolist()
    image[0][13][13][0] = pixel
    answer = client.ask(image)
    assert answer.status == 400
    assert said in answer.body["error"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "the body is not JSON"),
        (b"\x00\xff\xfe", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        (b"[1, 2]", "not an object of that one key"),
        (b'{"images": []}', "not an object of that one key"),
        (b'{"inputs": [], "instances": []}', "not an object of that one key"),
        (b'{"inputs": [[1, 2], [3]]}', "not of one shape"),
        (b'{"inputs": null}', "the shape is ()"),
        (b'{"inputs": {"a": 1}}', "the shape is ()"),
        (b'{"inputs": "seven"}', "the shape is ()"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else "",
)
def test_garbage_is_named(client: Client, body: bytes, said: str) -> None:
    answer = client.post(body)
    assert answer.status == 400
    assert said in answer.body["error"]


@pytest.mark.parametrize("kind", ["", "text/csv", "application/json; charset=latin-1"])
def test_other_content_types_are_named(client: Client, kind: str) -> None:
    answer = client.post(b"{}", kind)
    assert answer.status == 415
    assert "send application/json" in answer.body["error"]


def test_a_huge_body_is_not_read_to_its_end(client: Client) -> None:
    answer = client.post(b" " * (serving.MAX_BYTES + 1))
    assert answer.status == 413
    assert "20,000,000 bytes" in answer.body["error"]


def test_the_server_goes_on_after_all_that(client: Client) -> None:
    with urlopen(f"http://127.0.0.1:{client.port}/ping", timeout=WAIT_SECONDS) as response:
        assert response.status == 200
    assert client.post(b"{}", path="/nowhere").status == 404


def test_a_wrong_shape_is_named(client: Client) -> None:
    answer = client.ask(np.zeros((1, 28, 28)).tolist())
    assert answer.status == 400
    assert answer.body["error"].startswith("the shape is (1, 28, 28): it must be (n, 28, 28, 1)")


def networks() -> int:
    """How many networks of Keras this process holds."""
    gc.collect()
    kinds = ("Functional", "Sequential")
    return sum(type(one).__name__ in kinds for one in gc.get_objects())


def test_a_model_that_is_served_no_more_is_released(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(client.folder)
    before = networks()
    app = serving.load("lr-ceiling", 1)
    assert networks() > before
    del app
    assert networks() == before


def test_a_promotion_and_a_rollback_take_over_without_a_request_dropped(
    client: Client,
    digits: dataset.Split,
    trained: list[tuple[RunResult, Path]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = as_input(digits.images).tolist()
    first = client.ask(images)
    run, model = trained[1]
    monkeypatch.chdir(client.folder)
    answers: list[Answer] = []
    end = threading.Event()

    def go_on_asking() -> None:
        while not end.wait(0.05):
            answers.append(client.ask(images))

    def answered_by(version: str) -> bool:
        return answers[-1].version == version

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(go_on_asking) for _ in range(2)]
        assert wait_until(lambda: len(answers) > 2)
        with tracking.open_store() as store:
            store.log_train("cell", [run], model.parent)
            registry = Registry(store, "lr-ceiling")
            version = registry.put_forward(store.model_of(run), {SHA256: sha256_of(model)})
            registry.promote(version, registry.at("champion"))
        followed = wait_until(lambda: answered_by("2"))
        # Back again, also for the tests that share this server.
        with tracking.open_store() as store:
            Registry(store, "lr-ceiling").rollback()
        went_back = wait_until(lambda: answered_by("1"))
        end.set()
        for each in asking:
            each.result()
    assert (followed, went_back) == (True, True)
    assert {answer.status for answer in answers} == {200}
    with Predictor() as predictor:
        of_second = predictor.of_file(model, digits.images).probabilities
    for answer in answers:
        predictions = np.array(answer.body["predictions"], np.float32)
        of_first = np.array(first.body["predictions"], np.float32)
        expected = of_first if answer.version == "1" else of_second
        assert predictions.tobytes() == expected.tobytes()
    assert "lr_ceiling_swaps_total 2\n" in client.metrics()
