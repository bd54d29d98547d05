"""The train stage: one cell, several seeds; the same bytes whatever watches it."""

import shutil
from pathlib import Path

import pytest

from conftest import run_command, small_project
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.pipeline.stages.train import main

CELL = "batchnorm-sigmoid-0.01"


def train(project: Path, splits: Path, **environment: str) -> str:
    arguments = [
        *(str(splits), "--variant", "batchnorm", "--activation", "sigmoid"),
        *("--learning-rate", "0.01", "--output", f"data/train/{CELL}"),
        *("--models", f"data/models/{CELL}", "--state", "state/runs"),
    ]
    # Work ahead has its own tests.
    return run_command(main, project, *arguments, **{"LR_CEILING_AHEAD": "off"} | environment)


def train_project(folder: Path, processes: int) -> Path:
    return small_project(folder, {"train": {"seeds": [3, 1]}, "workers": {"processes": processes}})


def contents(project: Path) -> dict[str, bytes]:
    paths = sorted((project / "data").rglob("*"))
    return {str(path.relative_to(project)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def trained(small_splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = train_project(tmp_path_factory.mktemp("train"), processes=2)
    printed = train(project, small_splits)
    assert "batchnorm sigmoid lr=0.01 seed=3" in printed
    assert "warning" not in printed.lower()
    return project


def test_each_seed_has_its_run_and_its_model(trained: Path) -> None:
    assert set(contents(trained)) == {
        f"data/train/{CELL}/runs.json",
        f"data/models/{CELL}/seed-1.keras",
        f"data/models/{CELL}/seed-3.keras",
    }
    runs = read_runs(trained / "data/train" / CELL / "runs.json")
    assert [run.spec.seed for run in runs] == [3, 1]
    assert all(run.test_accuracy is not None for run in runs)
    assert all(run.steps == run.spec.horizon for run in runs)
    assert all(check.training is not None for run in runs for check in run.checks)


def test_runs_are_in_mlflow_and_their_facts_in_state(trained: Path) -> None:
    assert (trained / "mlruns" / "mlflow.db").exists()
    runs = read_runs(trained / "data/train" / CELL / "runs.json")
    facts = {path.stem for path in (trained / "state" / "facts").iterdir()}
    assert facts == {run.spec.key for run in runs}


def test_a_store_that_is_away_costs_a_warning_and_no_byte(
    trained: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = train_project(tmp_path, processes=1)
    # Nothing listens on port 9, which is reserved to throw away what it gets.
    printed = train(project, small_splits, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert printed.count("warning: ") == 1
    assert "`lr-ceiling log` sends it later" in printed
    assert contents(project) == contents(trained)
    assert not (project / "mlruns").exists()


def test_switched_off_tracking_changes_no_byte(
    trained: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = train_project(tmp_path, processes=1)
    printed = train(project, small_splits, LR_CEILING_TRACKING="off")
    assert "warning" not in printed
    assert contents(project) == contents(trained)
    assert not (project / "mlruns").exists()


def test_what_the_store_holds_is_not_trained_or_logged_again(
    trained: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = train_project(tmp_path, processes=1)
    shutil.copytree(trained / "state", project / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lr_ceiling.pipeline.stages.train.workers", pytest.fail)
        printed = train(project, small_splits)
    assert "batchnorm sigmoid lr=0.01 seed=3" in printed
    assert contents(project) == contents(trained)
    assert not (project / "mlruns").exists()


@pytest.mark.parametrize("damage", ["result", "model", "other spec"])
def test_what_is_damaged_in_the_store_is_trained_anew(
    damage: str, trained: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = train_project(tmp_path, processes=1)
    shutil.copytree(trained / "state", project / "state")
    store = RunStore(project / "state" / "runs")
    first, second = read_runs(trained / "data/train" / CELL / "runs.json")
    model = store.model_path(first.spec)
    if damage == "model":
        model.write_bytes(model.read_bytes()[:-1])
    elif damage == "result":
        model.with_suffix(".json").write_text('{"result": ')
    else:
        shutil.copy(store.model_path(second.spec).with_suffix(".json"), model.with_suffix(".json"))
    train(project, small_splits, LR_CEILING_TRACKING="off")
    assert contents(project) == contents(trained)
