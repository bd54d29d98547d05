"""What keeps a server from following leaves it as it is; tests/pipeline/test_serve.py swaps."""

import shutil
from pathlib import Path

import filelock
import pytest

from lr_ceiling import tracking
from lr_ceiling.live import serving
from lr_ceiling.live.follower import Follower
from lr_ceiling.live.registry import Registry
from registering import promote


async def app(scope: object, receive: object, send: object) -> None:
    raise AssertionError


class Swaps(serving.Guard):
    """A guard that keeps which versions were swapped in."""

    def __init__(self) -> None:
        super().__init__(app, 1)
        self.versions: list[int] = []

    def swap(self, app: serving.App, version: int) -> None:
        self.versions.append(version)
        super().swap(app, version)


@pytest.fixture
def guard() -> Swaps:
    return Swaps()


@pytest.fixture
def follower(project: Path, guard: Swaps) -> Follower:
    """A follower of a registry whose version 1 is live and served."""
    put_live(1)
    return Follower(guard, "lr-ceiling", serving.champion_of("lr-ceiling"))


def put_live(seed: int) -> str:
    """Make a champion whose file is no model; returns the folder of its files."""
    with tracking.open_store() as store:
        registry = Registry(store, "lr-ceiling")
        promote(store, registry, seed)
        champion = registry.at("champion")
    assert champion
    return champion.source


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """What was told on stderr: one line at most."""
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") <= 1
    return shown.err


def test_nothing_new_is_nothing_to_tell(
    follower: Follower, guard: Swaps, capsys: pytest.CaptureFixture[str]
) -> None:
    follower.look()
    assert (told(capsys), guard.versions) == ("", [])


def test_a_champion_that_is_no_model_is_told_once_and_the_old_model_stays(
    follower: Follower, guard: Swaps, capsys: pytest.CaptureFixture[str]
) -> None:
    source = put_live(2)
    for _ in range(3):
        follower.look()
    line = told(capsys)
    stays = "warning: version 1 of lr-ceiling stays live: "
    assert line.startswith(f"{stays}models:/lr-ceiling/2 can't be loaded")
    # Another reason is told anew.
    (Path(source) / "data" / "model.keras").write_bytes(b"something else")
    follower.look()
    assert "it is not what was registered" in told(capsys)
    with tracking.open_store() as store:
        Registry(store, "lr-ceiling").rollback()
    follower.look()
    assert (told(capsys), guard.versions) == ("", [])


def test_a_store_that_is_away_is_told_and_not_made_anew(
    follower: Follower, guard: Swaps, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.move(project / "mlruns", project / "elsewhere")
    follower.look()
    follower.look()
    assert told(capsys).endswith(f"stays live: {project}/mlruns/mlflow.db is missing\n")
    assert not (project / "mlruns").exists()
    shutil.move(project / "elsewhere", project / "mlruns")
    follower.look()
    assert (told(capsys), guard.versions) == ("", [])


def test_a_store_that_another_process_holds_is_told(
    follower: Follower,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("lr_ceiling.tracking.connection.LOCK_SECONDS", 0.01)
    with filelock.FileLock(project / "mlruns" / "mlflow.lock"):
        follower.look()
    assert "stays live: another process has held" in told(capsys)
    follower.look()
    assert told(capsys) == ""
