"""Runs and studies in a real MLflow store, with its faults."""

import contextlib
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from alembic import command
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.store.db import utils as database_utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from conftest import wait_until
from lr_ceiling import tracking
from lr_ceiling.errors import TrackingError
from lr_ceiling.execution import provenance
from lr_ceiling.mnist.results import Check, Curve, RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.problems.judge import Label
from lr_ceiling.tracking import Logged
from lr_ceiling.tracking.store import SIGNATURE

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


@pytest.fixture
def root(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with an empty store, which the tracking module finds through DVC_ROOT."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv(tracking.SWITCH, raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved network of MNIST's shapes."""
    import keras

    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    path = tmp_path_factory.mktemp("model") / "seed-0.keras"
    keras.Sequential(layers).save(path)
    return path


@pytest.fixture(scope="session")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running `mlflow server`."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_database, folder)
    address = f"http://127.0.0.1:{free_port()}"
    options = {
        "backend-store-uri": f"sqlite:///{folder}/mlflow.db",
        "artifacts-destination": str(folder / "artifacts"),
        "port": address.rsplit(":", 1)[1],
        "workers": "1",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert wait_until(lambda: answers(f"{address}/health"))
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def client(root: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{root}/mlruns/mlflow.db")


def logged_runs(store: MlflowClient, experiment: str) -> list[Run]:
    found = store.get_experiment_by_name(experiment)
    return list(store.search_runs([found.experiment_id])) if found else []


def log_train(root: Path, *runs: RunResult) -> Logged:
    for run in runs:
        model = root / "models" / f"seed-{run.spec.seed}.keras"
        model.parent.mkdir(exist_ok=True)
        model.write_bytes(b"no test loads this one")
    with tracking.open_store() as store:
        return store.log_train("baseline-relu-0.01", runs, root / "models")


def log_search(*runs: RunResult, **changes: object) -> Logged:
    with tracking.open_store() as store:
        return store.log_search("batchnorm-relu", {**STUDY, **changes}, runs)


def trials(count: int) -> list[RunResult]:
    return [make_run(index, "batchnorm", learning_rate=0.1 * (index + 1)) for index in range(count)]


def test_a_run_is_logged_with_all_that_it_showed(root: Path) -> None:
    result = make_run()
    assert log_train(root, result) == Logged(1, 0)
    store = client(root)
    (run,) = logged_runs(store, "train")
    assert run.info.run_name == "baseline relu lr=0.01 seed=0"
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.01"
    assert set(run.data.params) == {*RunSpec.model_fields, "label"}
    assert run.data.metrics["validation_accuracy"] == 0.97
    assert run.data.metrics["steps_to_95"] == 20
    assert "called_at" not in run.data.metrics
    expected = {
        "key": result.spec.key,
        "dvc_stage": "train@baseline-relu-0.01",
        "variant": "baseline",
        "activation": "relu",
        "label": "stable",
        "group": "relu lr=0.01",
    }
    assert expected.items() <= run.data.tags.items()
    assert "learning rate 0.01" in run.data.tags["mlflow.note.content"]
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mnist", "d" * 16)
    loss = store.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in loss] == [(10, 2.0), (20, 1.0), (30, 0.5)]
    checks = store.get_metric_history(run.info.run_id, "validation/accuracy")
    assert [(point.step, point.value) for point in checks] == [(10, 0.5), (30, 0.97)]


def test_twins_share_group_metrics_and_steps(root: Path) -> None:
    log_train(root, make_run(variant="baseline"), make_run(variant="batchnorm"))
    one, other = logged_runs(client(root), "train")
    assert one.data.tags["group"] == other.data.tags["group"]
    assert set(one.data.metrics) == set(other.data.metrics)
    assert one.data.tags["variant"] != other.data.tags["variant"]


def test_the_ui_opens_the_experiments_on_training_runs(root: Path) -> None:
    log_train(root)
    experiment = client(root).get_experiment_by_name("train")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    assert experiment.artifact_location == str(root / "mlruns" / "artifacts" / "train")


def test_only_finite_values_are_logged(root: Path) -> None:
    log_train(root, make_run(label="diverged", losses=(2.0, math.inf, math.nan, None)))
    store = client(root)
    (run,) = logged_runs(store, "train")
    assert [p.value for p in store.get_metric_history(run.info.run_id, "train/loss")] == [2.0]
    assert len(store.get_metric_history(run.info.run_id, "train/accuracy")) == 4
    assert all(map(math.isfinite, run.data.metrics.values()))
    assert max(run.data.metrics.values()) < 1e300
    assert run.data.tags["label"] == "diverged"
    assert (run.data.metrics["called_at"], run.data.metrics["stable"]) == (20, 0)


def test_logging_twice_adds_nothing(root: Path) -> None:
    runs = make_run(seed=0), make_run(seed=1)
    assert log_train(root, *runs) == Logged(2, 0)
    assert log_train(root, *runs, make_run(seed=2)) == Logged(1, 2)
    assert len(logged_runs(client(root), "train")) == 3
    assert log_search(*trials(3)) == Logged(3, 0)
    assert log_search(*trials(3)) == Logged(0, 3)
    assert len(logged_runs(client(root), "search")) == 4


def test_another_result_of_the_same_key_takes_the_place_of_the_old(root: Path) -> None:
    log_train(root, make_run(accuracy=0.97))
    assert log_train(root, make_run(accuracy=0.98)) == Logged(1, 0)
    (run,) = logged_runs(client(root), "train")
    assert run.data.metrics["validation_accuracy"] == 0.98


def test_a_run_that_was_deleted_is_logged_again(root: Path) -> None:
    log_train(root, make_run())
    (run,) = logged_runs(client(root), "train")
    client(root).delete_run(run.info.run_id)
    assert log_train(root, make_run()) == Logged(1, 0)
    client(root).delete_experiment(run.info.experiment_id)
    log_train(root, make_run())
    assert len(logged_runs(client(root), "train")) >= 1


def test_a_study_is_a_parent_with_a_child_a_trial(root: Path) -> None:
    log_search(*trials(3))
    runs = logged_runs(client(root), "search")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert parent.info.run_name == "search batchnorm relu"
    assert parent.data.metrics["highest_stable"] == 0.3
    assert parent.data.metrics["labels/stable"] == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    rates = {run.data.tags["trial"]: run.data.metrics["learning_rate"] for run in children}
    assert rates == pytest.approx({"0": 0.1, "1": 0.2, "2": 0.3})
    assert {run.data.tags["dvc_stage"] for run in runs} == {"search@batchnorm-relu"}


def test_a_study_has_its_files_and_its_ceilings(root: Path, tmp_path: Path) -> None:
    table, figure = tmp_path / "trials.csv", tmp_path / "posterior.png"
    table.write_text("index,label\n0,stable\n")
    figure.write_bytes(b"a figure")
    study = STUDY | {
        "lr90": {"estimate": 0.25, "ci95": (0.2, 0.31)},
        "lr50": {"estimate": 0.4, "ci95": [0.3, None]},
    }
    for expected in (Logged(3, 0), Logged(0, 3)):
        with tracking.open_store() as store:
            logged = store.log_search("batchnorm-relu", study, trials(3), [table, figure])
        assert logged == expected
    (parent,) = [run for run in logged_runs(client(root), "search") if "trial" not in run.data.tags]
    files = client(root).list_artifacts(parent.info.run_id)
    assert {file.path for file in files} == {"trials.csv", "posterior.png"}
    assert parent.data.metrics["lr90/estimate"] == 0.25
    assert parent.data.metrics["lr90/ci95/low"] == 0.2
    assert parent.data.metrics["lr90/ci95/high"] == 0.31
    assert parent.data.metrics["lr50/ci95/low"] == 0.3
    assert "lr50/ci95/high" not in parent.data.metrics
    assert "**0.25** (95% interval: 0.2 to 0.31)" in parent.data.tags["mlflow.note.content"]
    figure.write_bytes(b"a better figure")
    with tracking.open_store() as store:
        assert store.log_search("batchnorm-relu", study, trials(3), [figure]) == Logged(3, 0)


def test_pages_are_those_of_what_is_logged(root: Path) -> None:
    with tracking.open_store() as store:
        assert store.pages() == []
    log_train(root, make_run(seed=1), make_run(seed=2, variant="batchnorm"))
    with tracking.open_store() as store:
        # No seed has both variants: no twins.
        titles = [page.title for page in store.pages()]
        assert titles == ["train: all runs", "relu lr=0.01: curves"]
    log_train(root, make_run(seed=2))
    log_search(*trials(2))
    with tracking.open_store() as store:
        pages = {page.title: page.path for page in store.pages()}
    assert list(pages)[2:] == [
        "relu lr=0.01: twins of seed 2",
        "search: all trials",
        "search batchnorm relu",
    ]
    twins = {
        run.info.run_id
        for run in logged_runs(client(root), "train")
        if run.data.params["seed"] == "2"
    }
    assert all(run in pages["relu lr=0.01: twins of seed 2"] for run in twins)


def test_an_older_experiment_gets_what_it_lacks(root: Path) -> None:
    mine = {"mlflow.note.content": "my own words"}
    client(root).create_experiment("train", str(root / "mlruns/artifacts/train"), mine)
    log_train(root, make_run())
    experiment = client(root).get_experiment_by_name("train")
    assert experiment is not None
    assert experiment.tags["mlflow.note.content"] == "my own words"
    assert "mlflow.sharedViewState.measured" in experiment.tags


def test_a_new_store_has_no_empty_experiment(root: Path) -> None:
    assert client(root).search_experiments() == []


def test_a_study_without_a_stable_run(root: Path) -> None:
    log_search(make_run(label="dead"), highest_stable=None)
    runs = logged_runs(client(root), "search")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert "highest_stable" not in parent.data.metrics
    assert "none" in parent.data.tags["mlflow.note.content"]


def test_a_study_that_has_grown_takes_the_place_of_the_old(root: Path) -> None:
    log_search(*trials(2), trials=2)
    assert log_search(*trials(5), trials=5) == Logged(5, 0)
    assert len(logged_runs(client(root), "search")) == 1 + 5


LOGGER = """
import sys
from pathlib import Path
from lr_ceiling import runs, tracking
results = runs.read_runs(Path(sys.argv[1]))
with tracking.open_store() as store:
    if sys.argv[2] == "search":
        store.log_search("batchnorm-relu", {"variant": "batchnorm", "activation": "relu",
            "key": "0123456789abcdef", "highest_stable": 0.3}, results)
    else:
        print(*store.log_train("baseline-relu-0.01", results, Path(sys.argv[1]).parent))
# 5 s and 500 MB that the driver is spared.
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def start_logger(runs: Path, kind: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", LOGGER, str(runs), kind], stdout=subprocess.PIPE, text=True
    )


def count_rows(root: Path, query: str) -> int:
    with sqlite3.connect(root / "mlruns" / "mlflow.db", timeout=30) as connection:
        return int(connection.execute(query).fetchone()[0])


def test_what_a_killed_logger_leaves_is_logged_again(root: Path) -> None:
    write_runs(root / "runs.json", trials(300))
    logger = start_logger(root / "runs.json", "search")
    assert wait_until(lambda: count_rows(root, "SELECT count(*) FROM runs") > 5)
    logger.kill()
    logger.communicate()
    assert 1 <= count_rows(root, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") <= 2
    assert count_rows(root, "SELECT count(*) FROM runs") < 300
    log_search(*trials(6), trials=6)
    runs = logged_runs(client(root), "search")
    assert len(runs) == 1 + 6
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_half_logged_run_goes_with_its_model(root: Path) -> None:
    log_train(root, make_run())
    (run,) = logged_runs(client(root), "train")
    client(root).update_run(run.info.run_id, status="RUNNING")
    assert log_train(root, make_run()) == Logged(1, 0)
    (again,) = logged_runs(client(root), "train")
    assert again.info.run_id != run.info.run_id
    (model,) = client(root).search_logged_models([run.info.experiment_id])
    assert model.source_run_id == again.info.run_id


def test_writers_at_a_cold_start_wait_for_one_another(root: Path) -> None:
    (root / "mlruns" / "mlflow.db").unlink()
    (root / "seed-0.keras").write_bytes(b"no test loads this one")
    write_runs(root / "runs.json", [make_run()])
    loggers = [start_logger(root / "runs.json", "train") for _ in range(2)]
    told = [logger.communicate()[0] for logger in loggers]
    assert sorted(told) == ["0 1\n", "1 0\n"]
    assert [logger.returncode for logger in loggers] == [0, 0]
    assert count_rows(root, "SELECT count(*) FROM runs") == 1


def test_a_database_of_an_older_mlflow_is_migrated(root: Path) -> None:
    path = root / "mlruns" / "mlflow.db"
    path.unlink()
    engine = database_utils.create_sqlalchemy_engine_with_retry(  # type: ignore[no-untyped-call]
        f"sqlite:///{path}"
    )
    InitialBase.metadata.create_all(engine)
    config = database_utils._get_alembic_config(  # type: ignore[no-untyped-call]
        str(engine.url)
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head-1")
    engine.dispose()
    assert log_train(root, make_run()) == Logged(1, 0)


def test_a_server_that_is_away_costs_one_warning(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    warning = capfd.readouterr().err
    assert warning.startswith("warning: MLflow at http://127.0.0.1:")
    assert warning.endswith("`lr-ceiling log` sends it later\n")
    assert warning.count("\n") == 1
    assert "secret" not in warning
    # Outside pytest these would be lines on stderr.
    assert not caplog.records


def test_a_damaged_database_is_told_in_one_line(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (root / "mlruns" / "mlflow.db").write_text("this is no database")
    with pytest.raises(TrackingError, match="file is not a database"), tracking.open_store():
        pass
    assert capfd.readouterr().err == ""


def test_a_database_of_a_newer_mlflow_is_told_in_one_line(root: Path) -> None:
    with contextlib.closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    with pytest.raises(TrackingError, match="move mlruns/ away") as error, tracking.open_store():
        pass
    assert "\n" not in str(error.value)


def test_a_fault_of_the_mirror_is_never_the_callers(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracking.mirror(lambda store: 1 // 0)
    assert capfd.readouterr().err.startswith("warning: integer division or modulo by zero; ")


def test_a_moved_store_says_so(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    log_train(root)
    moved = tmp_path_factory.mktemp("moved")
    shutil.copytree(root / "mlruns", moved / "mlruns")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(moved))
        with pytest.raises(TrackingError, match="was moved"):
            log_train(moved, make_run())


def test_tracking_can_be_switched_off(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tracking.SWITCH, "off")
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    monkeypatch.delenv(tracking.SWITCH)
    assert logged_runs(client(root), "compare") == []
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    assert len(logged_runs(client(root), "compare")) == 1


def test_times_are_facts_or_absent(root: Path) -> None:
    timed, untimed = make_run(seed=0), make_run(seed=1)
    provenance.write_facts(timed.spec.key, started=1_700_000_000.5, seconds=42.25)
    log_train(root, timed, untimed)
    runs = {run.data.tags["key"]: run for run in logged_runs(client(root), "train")}
    info = runs[timed.spec.key].info
    assert (info.start_time, info.end_time) == (1_700_000_000_500, 1_700_000_042_750)
    assert runs[timed.spec.key].data.metrics["seconds"] == 42.25
    assert "cores" in runs[timed.spec.key].data.tags["machine"]
    info = runs[untimed.spec.key].info
    assert info.start_time == info.end_time
    assert "seconds" not in runs[untimed.spec.key].data.metrics


def test_runs_bear_the_commit(root: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        told = subprocess.run(
            ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
        )
        return told.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    log_train(root, make_run())
    (run,) = logged_runs(client(root), "train")
    assert run.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")


def test_models_load_back_with_equal_predictions(
    root: Path, keras_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import mlflow
    import mlflow.keras

    with tracking.open_store() as store:
        store.log_train("baseline-relu-0.01", [make_run()], keras_file.parent)
    (run,) = logged_runs(client(root), "train")
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    uri = f"models:/{output.model_id}"
    store_uri = f"sqlite:///{root}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    # It goes before the variable, and another test may have set it.
    mlflow.set_tracking_uri(store_uri)
    images = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)
    expected = keras.models.load_model(keras_file).predict(images, verbose=0)
    loaded = mlflow.keras.load_model(uri)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    served = mlflow.pyfunc.load_model(uri)
    np.testing.assert_allclose(served.predict(images), expected, rtol=1e-6)
    assert served.metadata.signature == SIGNATURE
    client(root).create_registered_model("mnist")
    registered = client(root).create_model_version("mnist", uri, run.info.run_id)
    client(root).set_registered_model_alias("mnist", "champion", registered.version)
    np.testing.assert_array_equal(
        mlflow.keras.load_model("models:/mnist@champion").predict(images, verbose=0), expected
    )


def test_a_server_holds_the_same_as_the_file(
    root: Path, server: str, keras_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    # More values than a server takes in one call.
    result = make_run(losses=tuple(1 / step for step in range(1, 1001)))
    for expected in (Logged(1, 0), Logged(0, 1)):
        with tracking.open_store() as store:
            assert store.log_train("baseline-relu-0.01", [result], keras_file.parent) == expected
    (run,) = logged_runs(MlflowClient(server), "train")
    assert run.data.metrics["validation_accuracy"] == 0.97
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    files = MlflowClient(server).list_logged_model_artifacts(output.model_id)
    assert "MLmodel" in {file.path for file in files}
