"""The serving image, built and run as a person does, and asked over HTTP."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest

from conftest import ROOT
from lr_ceiling import tracking
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.live.registry import SHA256, Registry
from lr_ceiling.mnist.results import RunResult
from waiting import wait_until

DOCKERFILE = ROOT / "Dockerfile"
IMAGE = "lr-ceiling:test"


def docker(*arguments: str, cwd: Path | None = None) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.PIPE, text=True).stdout


def missing() -> str | None:
    """Why no image can be built here."""
    if not shutil.which("docker"):
        return "docker is not installed"
    asked = subprocess.run(["docker", "info"], capture_output=True)
    return "docker's daemon doesn't answer" if asked.returncode else None


MISSING = missing()


def copied() -> list[str]:
    """What the Dockerfile takes from the project."""
    lines = re.findall(r"^COPY (?!--from)(?:--\S+ )*(.+) \S+$", DOCKERFILE.read_text(), re.M)
    return [name for line in lines for name in line.split()]


def test_the_image_gets_all_that_it_copies_and_nothing_else() -> None:
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules
    assert sorted(copied()) == sorted(rule[1:] for rule in rules if rule.startswith("!"))
    assert [name for name in copied() if not (ROOT / name).exists()] == []


@pytest.fixture
def container(project: Path, trained: list[tuple[RunResult, Path]]) -> Iterator[str]:
    """The image's container, with a champion that was baked in."""
    run, model = trained[0]
    with tracking.open_store() as store:
        store.log_train("cell", [run], model.parent)
        registry = Registry(store, "lr-ceiling")
        version = registry.put_forward(store.model_of(run), {SHA256: sha256_of(model)})
        registry.promote(version, None)
    for name in {*copied(), "Dockerfile", ".dockerignore"} - {"mlruns", "params.yaml"}:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project / name)
    docker("build", "--tag", IMAGE, ".", cwd=project)
    started = docker("run", "--detach", "--publish", "127.0.0.1::5001", IMAGE).strip()
    yield started
    docker("rm", "--force", started)


@pytest.mark.skipif(MISSING is not None, reason=MISSING or "")
def test_the_image_serves_the_champion_as_nobody_special(container: str) -> None:
    def is_healthy() -> bool:
        state = docker("inspect", "--format", "{{.State.Health.Status}}", container)
        return state.strip() == "healthy"

    assert wait_until(is_healthy, 180), docker("logs", container)
    assert docker("exec", container, "id", "-u").strip() == "10001"
    address = docker("port", container, "5001").split()[0]
    body = json.dumps({"inputs": np.zeros((1, 28, 28, 1)).tolist()}).encode()
    asked = Request(f"http://{address}/invocations", body, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=30) as response:
        assert response.headers["X-Model-Version"] == "1"
        assert np.array(json.load(response)["predictions"]).shape == (1, 10)
