"""`lr-ceiling log` on a folder of results."""

import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from mlflow import MlflowClient

from conftest import small_belief, small_run, small_study
from lr_ceiling.execution.files import write_json
from lr_ceiling.mnist.results import write_runs
from lr_ceiling.pipeline.commands import log


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project folder that `lr-ceiling log` is run in, empty."""
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "LR_CEILING_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def project(folder: Path) -> Path:
    """A project folder with the results of a cell of two seeds and a study of three trials."""
    write_runs(
        folder / "data/train/baseline-relu-0.01/runs.json",
        [small_run(seed=seed) for seed in range(2)],
    )
    models = folder / "data/models/baseline-relu-0.01"
    models.mkdir(parents=True)
    for seed in range(2):
        (models / f"seed-{seed}.keras").write_bytes(b"no test loads this one")
    arm = folder / "data/search/baseline-relu"
    write_runs(arm / "runs.json", [small_run(seed=seed) for seed in range(10, 13)])
    write_json(arm / "study.json", small_study().model_dump())
    write_json(arm / "posterior.json", asdict(small_belief()))
    return folder


@pytest.fixture
def stored(project: Path, empty_database: Path) -> Path:
    """The same with a store that holds nothing, which would take 2 s to make."""
    (project / "mlruns").mkdir()
    shutil.copy(empty_database, project / "mlruns")
    return project


def run_log() -> Result:
    return CliRunner().invoke(log.main, [])


def is_error(result: Result, start: str) -> bool:
    return (
        result.exit_code == 1
        and result.stderr.startswith(f"error: {start}")
        and result.stderr.count("\n") == 1
    )


def logged(project: Path) -> list[int]:
    store = MlflowClient(f"sqlite:///{project}/mlruns/mlflow.db")
    found = [store.get_experiment_by_name(name) for name in ("train", "search")]
    return [
        len(store.search_runs([experiment.experiment_id])) for experiment in found if experiment
    ]


def test_results_are_logged_once_and_rebuilt_when_deleted(project: Path) -> None:
    first = run_log()
    assert (first.exit_code, first.stderr) == (0, "")
    assert first.stdout == (
        "train baseline-relu-0.01: 2 logged, 0 there already\n"
        "search baseline-relu: 3 logged, 0 there already\n"
    )
    assert run_log().stdout == "MLflow holds all of it already\n"
    # Whatever was done in the UI or elsewhere changes the database.
    os.utime(project / "mlruns" / "mlflow.db")
    assert run_log().stdout == (
        "train baseline-relu-0.01: 0 logged, 2 there already\n"
        "search baseline-relu: 0 logged, 3 there already\n"
    )
    assert logged(project) == [2, 4]
    shutil.rmtree(project / "mlruns")
    # A process of its own: MLflow keeps the deleted file open in this one.
    again = subprocess.run(
        [sys.executable, "-m", "lr_ceiling.pipeline.commands.log"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")


def test_a_server_that_is_away_is_an_error(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert is_error(run_log(), "MLflow at http://127.0.0.1:9 failed: ")


def test_nothing_to_log_is_an_error(folder: Path) -> None:
    assert is_error(run_log(), "no runs in data/train or data/search: run `dvc repro` ")
    assert not (folder / "mlruns").exists()


def test_the_switch_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LR_CEILING_TRACKING", "off")
    assert run_log().stdout == "nothing is logged: LR_CEILING_TRACKING=off\n"
    assert not (project / "mlruns").exists()


def test_what_compare_could_not_send_is_logged(stored: Path) -> None:
    write_runs(stored / "state/compare/relu-0.01-seed-7/runs.json", [small_run(seed=7)])
    assert "compare relu-0.01-seed-7: 1 logged, 0 there already" in run_log().output
    assert run_log().stdout == "MLflow holds all of it already\n"


def test_damaged_results_are_an_error(project: Path) -> None:
    (project / "data/train/baseline-relu-0.01/runs.json").write_text("[{}")
    assert is_error(run_log(), "data/train/baseline-relu-0.01/runs.json is not of this version ")


def test_a_missing_model_is_an_error(stored: Path) -> None:
    (stored / "data/models/baseline-relu-0.01/seed-1.keras").unlink()
    assert is_error(run_log(), "data/models/baseline-relu-0.01/seed-1.keras is missing: ")
    assert logged(stored) == [1]
