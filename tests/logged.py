"""Runs and studies made by hand, and what a store holds of them."""

import socket
import sqlite3
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run

from lr_ceiling import tracking
from lr_ceiling.mnist.results import Check, Curve, RunResult
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.problems.judge import Label
from lr_ceiling.tracking import Logged

STUDY: dict[str, object] = {
    "variant": "batchnorm",
    "activation": "relu",
    "key": "0123456789abcdef",
    "highest_stable": 0.3,
    "trials": 3,
    "labels": {"stable": 2, "dead": 1},
    "full_run_equivalents": 2.5,
}


def make_run(
    seed: int = 0,
    variant: Variant = "baseline",
    label: Label = "stable",
    learning_rate: float = 0.01,
    losses: tuple[float | None, ...] = (2.0, 1.0, 0.5),
    accuracy: float = 0.97,
) -> RunResult:
    spec = RunSpec(
        variant=variant,
        activation="relu",
        learning_rate=learning_rate,
        seed=seed,
        optimizer="adam",
        batch_size=32,
        epochs=1,
        steps_per_epoch=10 * len(losses),
        target_accuracy=0.9,
        data_digest="d" * 64,
    )
    steps = tuple(range(10, 10 * len(losses) + 10, 10))
    return RunResult(
        spec=spec,
        label=label,
        called=None if label == "stable" else label,
        called_at=None if label == "stable" else 20,
        called_stable_at=None,
        steps=steps[-1],
        parameters=93_322,
        steps_to_95=20 if label == "stable" else None,
        validation_accuracy=accuracy,
        reestimated_accuracy=None,
        test_accuracy=accuracy - 0.01,
        checks=(
            Check(step=10, images=500, inference=0.5, training=0.6),
            Check(step=steps[-1], images=5000, inference=accuracy, training=None),
        ),
        curve=Curve(
            steps=steps,
            loss=losses,
            loss_min=losses,
            loss_max=losses,
            accuracy=tuple(0.9 for _ in losses),
        ),
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def client(project: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project}/mlruns/mlflow.db")


def logged_runs(store: MlflowClient, experiment: str) -> list[Run]:
    found = store.get_experiment_by_name(experiment)
    return list(store.search_runs([found.experiment_id])) if found else []


def log_train(project: Path, *runs: RunResult) -> Logged:
    for run in runs:
        model = project / "models" / f"seed-{run.spec.seed}.keras"
        model.parent.mkdir(exist_ok=True)
        model.write_bytes(b"no test loads this one")
    with tracking.open_store() as store:
        return store.log_train("baseline-relu-0.01", runs, project / "models")


def log_search(*runs: RunResult, **changes: object) -> Logged:
    with tracking.open_store() as store:
        return store.log_search("batchnorm-relu", {**STUDY, **changes}, runs)


def trials(count: int) -> list[RunResult]:
    return [make_run(index, "batchnorm", learning_rate=0.1 * (index + 1)) for index in range(count)]


def count_rows(project: Path, query: str) -> int:
    with sqlite3.connect(project / "mlruns" / "mlflow.db", timeout=30) as connection:
        return int(connection.execute(query).fetchone()[0])
