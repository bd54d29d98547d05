"""How the UI shows the experiments: its columns, and what people have changed in them."""

import re
from pathlib import Path
from typing import Any

from mlflow.entities import Run

from logged import client, log_search, log_train, logged_runs, make_run, trials
from lr_ceiling.tracking.columns import RUN_COLUMNS, TRIAL_COLUMNS


def test_the_ui_opens_the_experiments_on_training_runs(project: Path) -> None:
    log_train(project)
    experiment = client(project).get_experiment_by_name("train")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location == str(project / "mlruns" / "artifacts" / "train")


def test_an_older_experiment_gets_what_it_lacks(project: Path) -> None:
    mine = {"mlflow.note.content": "my own words"}
    client(project).create_experiment("train", str(project / "mlruns/artifacts/train"), mine)
    log_train(project, make_run())
    experiment = client(project).get_experiment_by_name("train")
    assert experiment is not None
    assert experiment.tags["mlflow.note.content"] == "my own words"
    assert "mlflow.sharedViewState.measured" in experiment.tags


def has(run: Run, column: str) -> bool:
    kind, name = re.fullmatch(r"(\w+)\.`(\w+)`", column).groups()  # type: ignore[union-attr]
    values: dict[str, Any] = getattr(run.data, kind)
    return name in values


def test_every_column_has_values(project: Path) -> None:
    log_train(project, make_run())
    log_search(*trials(1))
    (run,) = logged_runs(client(project), "train")
    assert all(has(run, column) for column in RUN_COLUMNS)
    (trial,) = [one for one in logged_runs(client(project), "search") if "trial" in one.data.tags]
    assert all(has(trial, column) for column in TRIAL_COLUMNS)
