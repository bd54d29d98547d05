"""A store that was moved or copied: its files are found, and its history stays."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from conftest import small_run
from lr_ceiling import tracking
from lr_ceiling.errors import TrackingError
from lr_ceiling.live.registry import Registry, Version
from lr_ceiling.tracking import Logged
from registering import promote

PLACES = [
    "SELECT artifact_location FROM experiments",
    "SELECT artifact_uri FROM runs",
    "SELECT artifact_location FROM logged_models",
    "SELECT source FROM model_versions",
    "SELECT storage_location FROM model_versions",
]


def promote_two() -> None:
    with tracking.open_store() as store:
        registry = Registry(store, "digits")
        for seed in (0, 1):
            promote(store, registry, seed)


def champion() -> Version:
    """The live version, its file as it was registered."""
    with tracking.open_store() as store:
        registry = Registry(store, "digits")
        found = registry.at("champion")
        assert found
        registry.check_file(found)
    return found


def places(project: Path) -> list[str]:
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as database:
        return [str(place) for query in PLACES for (place,) in database.execute(query) if place]


def go_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_project_that_was_moved_or_copied_keeps_what_is_live(
    how: object,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    first = project / "first 100%_of it"
    first.mkdir()
    shutil.move(project / "mlruns", first)
    go_to(first, monkeypatch)
    promote_two()
    assert callable(how)
    how(first, project / "second")
    second = go_to(project / "second", monkeypatch)
    capfd.readouterr()
    assert champion().number == 2
    said = capfd.readouterr().err
    assert said.startswith(f"{second}/mlruns/mlflow.db was moved: ")
    assert said.count("\n") == 1
    assert places(second)
    assert not any(place.startswith(str(first)) for place in places(second))
    with tracking.open_store() as store:
        registry = Registry(store, "digits")
        live, _ = registry.rollback()
        assert live.number == 1
        # The mirror takes what comes, and knows what it holds.
        assert store.log_train("cell", [small_run(seed=0)], Path("data/models/cell")) == Logged(
            0, 1
        )
    assert capfd.readouterr().err == ""


def test_a_database_that_left_its_files_behind_names_both_places(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_two()
    other = project / "other" / "mlruns"
    other.mkdir(parents=True)
    shutil.move(project / "mlruns" / "mlflow.db", other)
    go_to(other.parent, monkeypatch)
    with pytest.raises(TrackingError) as error, tracking.open_store():
        pass
    assert f"{project}/mlruns/artifacts" in str(error.value)
    assert f"{other}/artifacts" in str(error.value)
    assert "remove" not in str(error.value)
    shutil.move(project / "mlruns" / "artifacts", other)
    assert champion().number == 2


def test_a_moved_store_whose_files_are_lost_opens_and_keeps_its_history(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote_two()
    shutil.rmtree(project / "mlruns" / "artifacts")
    shutil.move(project / "mlruns", project / "other" / "mlruns")
    go_to(project / "other", monkeypatch)
    with tracking.open_store() as store:
        assert [one.number for one in Registry(store, "digits").history()] == [1, 2]


def test_a_link_to_the_same_folder_moves_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    promote_two()
    before = places(project)
    link = project.parent / f"{project.name}-link"
    link.symlink_to(project)
    monkeypatch.setenv("DVC_ROOT", str(link))
    with tracking.open_store() as store:
        store.log_train("cell", [small_run(seed=0)], Path("data/models/cell"))
    assert places(project) == before
    assert capfd.readouterr().err == ""


def test_an_experiment_of_another_program_is_left_alone(project: Path) -> None:
    with tracking.open_store() as store:
        store.client.create_experiment("train", "/somewhere/1")
        with pytest.raises(TrackingError, match="another program made it; name another database"):
            store.log_train("cell", [small_run()], Path("data/models/cell"))
    with tracking.open_store() as store:
        found = store.client.get_experiment_by_name("train")
        assert found
        assert found.artifact_location == "/somewhere/1"
