"""Runs and studies in a real MLflow store: logged whole, once, and again where they changed."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.store.tracking.dbmodels.models import SqlExperimentTag
from sqlalchemy import Connection, event, insert

from logged import STUDY, client, free_port, log_search, log_train, logged_runs, make_run, trials
from lr_ceiling import tracking
from lr_ceiling.execution import provenance
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.tracking import Logged
from lr_ceiling.tracking.store import LOGGER, Store
from waiting import wait_until


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
        # Nobody gives it jobs, for which it would start processes of its own.
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
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


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=5):
            return True
    except OSError:
        return False


def test_a_run_is_logged_with_all_that_it_showed(project: Path) -> None:
    result = make_run()
    assert log_train(project, result) == Logged(1, 0)
    store = client(project)
    (run,) = logged_runs(store, "train")
    assert run.info.run_name == "baseline seed=0 relu lr=0.01"
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "0.01"
    assert set(run.data.params) == {*RunSpec.model_fields, "label"} - {"ended_by"}
    assert run.data.metrics["validation_accuracy"] == 0.97
    assert run.data.metrics["steps_to_95"] == 20
    assert "called_at" not in run.data.metrics
    expected = {
        "key": result.spec.key,
        "dvc_stage": "train@baseline-relu-0.01",
        "variant": "baseline",
        "activation": "relu",
        "group": "relu lr=0.01",
    }
    assert expected.items() <= run.data.tags.items()
    assert "label" not in run.data.tags
    assert "learning rate 0.01" in run.data.tags["mlflow.note.content"]
    assert run.inputs is not None
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("mnist", "d" * 16)
    loss = store.get_metric_history(run.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in loss] == [(10, 2.0), (20, 1.0), (30, 0.5)]
    checks = store.get_metric_history(run.info.run_id, "validation/accuracy")
    assert [(point.step, point.value) for point in checks] == [(10, 0.5), (30, 0.97)]


def test_logging_twice_adds_nothing(project: Path) -> None:
    runs = make_run(seed=0), make_run(seed=1)
    assert log_train(project, *runs) == Logged(2, 0)
    assert log_train(project, *runs, make_run(seed=2)) == Logged(1, 2)
    assert len(logged_runs(client(project), "train")) == 3
    assert log_search(*trials(3)) == Logged(3, 0)
    assert log_search(*trials(3)) == Logged(0, 3)
    assert len(logged_runs(client(project), "search")) == 4


def test_a_run_that_has_another_name_is_not_logged_again(project: Path) -> None:
    log_train(project, make_run())
    (run,) = logged_runs(client(project), "train")
    client(project).update_run(run.info.run_id, name="baseline relu lr=0.01 seed=0")
    client(project).delete_tag(run.info.run_id, "mlflow.runColor")
    assert log_train(project, make_run()) == Logged(0, 1)


def test_another_result_of_the_same_key_takes_the_place_of_the_old(project: Path) -> None:
    log_train(project, make_run(accuracy=0.97))
    assert log_train(project, make_run(accuracy=0.98)) == Logged(1, 0)
    (run,) = logged_runs(client(project), "train")
    assert run.data.metrics["validation_accuracy"] == 0.98


def test_a_run_that_was_deleted_is_logged_again(project: Path) -> None:
    log_train(project, make_run())
    (run,) = logged_runs(client(project), "train")
    client(project).delete_run(run.info.run_id)
    assert log_train(project, make_run()) == Logged(1, 0)
    client(project).delete_experiment(run.info.experiment_id)
    log_train(project, make_run())
    assert len(logged_runs(client(project), "train")) >= 1


def test_a_study_is_a_parent_with_a_child_a_trial(project: Path) -> None:
    log_search(*trials(3))
    runs = logged_runs(client(project), "search")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run is not parent]
    assert parent.info.run_name == "search batchnorm relu"
    assert parent.data.metrics["highest_stable"] == 0.3
    assert parent.data.metrics["labels/stable"] == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    rates = {run.data.tags["trial"]: run.data.metrics["learning_rate"] for run in children}
    assert rates == pytest.approx({"0": 0.1, "1": 0.2, "2": 0.3})
    assert {run.data.tags["dvc_stage"] for run in runs} == {"search@batchnorm-relu"}
    assert "batchnorm trial=2 relu lr=0.3" in {run.info.run_name for run in children}


def test_a_study_has_its_files_and_its_ceilings(project: Path, tmp_path: Path) -> None:
    table, figure = tmp_path / "trials.csv", tmp_path / "posterior.png"
    table.write_text("index,label\n0,stable\n")
    figure.write_bytes(b"a figure")
    study = STUDY | {
        "lr90": {"estimate": 0.25, "ci95": (0.2, 0.31)},
        "lr50": {"estimate": 0.4, "ci95": [0.3, None]},
        "usable": {"estimate": 0.125, "ci95": (0.1, None)},
    }
    for expected in (Logged(3, 0), Logged(0, 3)):
        with tracking.open_store() as store:
            logged = store.log_search("batchnorm-relu", study, trials(3), [table, figure])
        assert logged == expected
    (parent,) = [
        run for run in logged_runs(client(project), "search") if "trial" not in run.data.tags
    ]
    files = client(project).list_artifacts(parent.info.run_id)
    assert {file.path for file in files} == {"trials.csv", "posterior.png"}
    assert parent.data.metrics["lr90/estimate"] == 0.25
    assert parent.data.metrics["lr90/ci95/low"] == 0.2
    assert parent.data.metrics["lr90/ci95/high"] == 0.31
    assert parent.data.metrics["lr50/ci95/low"] == 0.3
    assert "lr50/ci95/high" not in parent.data.metrics
    said = parent.data.tags["mlflow.note.content"]
    assert "probability 0.9 up to learning rate **0.25** (95% interval: 0.2 to 0.31)" in said
    assert "lost up to learning rate **0.125** (95% interval: 0.1 to unbounded)" in said
    figure.write_bytes(b"a better figure")
    with tracking.open_store() as store:
        assert store.log_search("batchnorm-relu", study, trials(3), [figure]) == Logged(3, 0)


def test_a_study_that_has_grown_takes_the_place_of_the_old(project: Path) -> None:
    log_search(*trials(2), trials=2)
    assert log_search(*trials(5), trials=5) == Logged(5, 0)
    assert len(logged_runs(client(project), "search")) == 1 + 5


def test_a_half_logged_run_goes_with_its_model(project: Path) -> None:
    log_train(project, make_run())
    (run,) = logged_runs(client(project), "train")
    client(project).update_run(run.info.run_id, status="RUNNING")
    assert log_train(project, make_run()) == Logged(1, 0)
    (again,) = logged_runs(client(project), "train")
    assert again.info.run_id != run.info.run_id
    (model,) = client(project).search_logged_models([run.info.experiment_id])
    assert model.source_run_id == again.info.run_id


def test_times_are_facts_or_absent(project: Path) -> None:
    timed, untimed = make_run(seed=0), make_run(seed=1)
    provenance.write_facts(timed.spec.key, started=1_700_000_000.5, seconds=42.25)
    log_train(project, timed, untimed)
    runs = {run.data.tags["key"]: run for run in logged_runs(client(project), "train")}
    info = runs[timed.spec.key].info
    assert (info.start_time, info.end_time) == (1_700_000_000_500, 1_700_000_042_750)
    assert runs[timed.spec.key].data.metrics["seconds"] == 42.25
    assert "cores" in runs[timed.spec.key].data.tags["machine"]
    info = runs[untimed.spec.key].info
    assert info.start_time == info.end_time
    assert "seconds" not in runs[untimed.spec.key].data.metrics


def test_runs_bear_the_commit(project: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
        told = subprocess.run(
            ["git", *who, *arguments], cwd=project, check=True, capture_output=True, text=True
        )
        return told.stdout.strip()

    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "first")
    log_train(project, make_run())
    (run,) = logged_runs(client(project), "train")
    assert run.data.tags["mlflow.source.git.commit"] == git("rev-parse", "HEAD")


def test_a_server_holds_the_same_as_the_file(
    project: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    (project / "seed-0.keras").write_bytes(b"no test loads this one")
    # More values than a server takes in one call.
    result = make_run(losses=tuple(1 / step for step in range(1, 1001)))
    for expected in (Logged(1, 0), Logged(0, 1)):
        with tracking.open_store() as store:
            assert store.log_train("baseline-relu-0.01", [result], project) == expected
    (run,) = logged_runs(MlflowClient(server), "train")
    assert run.data.metrics["validation_accuracy"] == 0.97
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    files = MlflowClient(server).list_logged_model_artifacts(output.model_id)
    assert "MLmodel" in {file.path for file in files}


def store_of(
    checkout: Path, place: Path, monkeypatch: pytest.MonkeyPatch, opened: MlflowClient | None = None
) -> Store:
    """A store of another checkout, without a lock, as a server's is."""
    monkeypatch.setenv("DVC_ROOT", str(checkout))
    return Store(opened or client(place), None, "a server")


def test_a_run_that_another_checkout_is_logging_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store_of(project / "a", project, monkeypatch)
    assert first.log_compare([make_run()]) == Logged(1, 0)
    (run,) = logged_runs(client(project), "compare")
    client(project).update_run(run.info.run_id, status="RUNNING")
    second = store_of(project / "b", project, monkeypatch)
    assert second.log_compare([make_run()]) == Logged(1, 0)
    assert len(logged_runs(client(project), "compare")) == 2


class Together(MlflowClient):
    """A client whose runs end just after the run `other` of another checkout.

    That many of the two are `registered` by then, those with the larger numbers first.
    """

    other: str
    registered: int
    both: list[str]

    def set_terminated(
        self, run_id: str, status: str | None = None, end_time: int | None = None
    ) -> None:
        super().set_terminated(self.other, "FINISHED")
        super().set_terminated(run_id, status, end_time)
        self.both = sorted((self.other, run_id))
        for number in self.both[2 - self.registered :]:
            self.create_model_version("digits", f"runs:/{number}/model", run_id=number)


def log_run_of(store: Store) -> Logged:
    return store.log_compare([make_run()])


def log_study_of(store: Store) -> Logged:
    return store.log_search("batchnorm-relu", STUDY, trials(2))


@pytest.mark.parametrize(
    ("log", "experiment", "registered"),
    [
        (log_run_of, "compare", 0),
        (log_run_of, "compare", 1),
        (log_run_of, "compare", 2),
        (log_study_of, "search", 0),
    ],
)
def test_of_equal_results_that_are_logged_at_once_one_stays_and_all_registered_ones(
    log: Callable[[Store], Logged],
    experiment: str,
    registered: int,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = store_of(project / "a", project, monkeypatch)
    new = log(first).new
    run_id = parents(project, experiment)[0]
    client(project).update_run(run_id, status="RUNNING")
    together = Together(f"sqlite:///{project}/mlruns/mlflow.db")
    together.other, together.registered = run_id, registered
    together.create_registered_model("digits")
    assert log(store_of(project / "b", project, monkeypatch, together)) == Logged(new, 0)
    kept = together.both[2 - registered :] or together.both[:1]
    assert parents(project, experiment) == kept
    runs = logged_runs(client(project), experiment)
    assert {run.data.tags.get("mlflow.parentRunId", run.info.run_id) for run in runs} == {*kept}
    assert log(first) == Logged(0, new)


def parents(project: Path, experiment: str) -> list[str]:
    """The numbers of the runs, without the trials of studies."""
    runs = logged_runs(client(project), experiment)
    return sorted(str(run.info.run_id) for run in runs if "mlflow.parentRunId" not in run.data.tags)


def test_a_tag_that_another_checkout_sets_meanwhile_is_no_fault(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client(project).create_experiment("compare")
    overtaken = []

    def overtake(mapper: object, connection: Connection, tag: SqlExperimentTag) -> None:
        row = {"experiment_id": tag.experiment_id, "key": tag.key, "value": tag.value}
        connection.execute(insert(SqlExperimentTag).values(row))
        overtaken.append(tag.key)

    event.listen(SqlExperimentTag, "before_insert", overtake, once=True)
    assert log_run_of(store_of(project / "a", project, monkeypatch)) == Logged(1, 0)
    found = client(project).get_experiment_by_name("compare")
    assert found
    assert {*overtaken} <= found.tags.keys()
    assert len(overtaken) == 1


def test_what_a_logger_of_another_checkout_left_is_removed_after_an_hour(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_of(project / "a", project, monkeypatch).log_compare([make_run()])
    (run,) = logged_runs(client(project), "compare")
    logger, began = run.data.tags[LOGGER].split()
    client(project).set_tag(run.info.run_id, LOGGER, f"{logger} {int(began) - 3601}")
    client(project).update_run(run.info.run_id, status="RUNNING")
    store_of(project / "b", project, monkeypatch).log_compare([make_run()])
    (again,) = logged_runs(client(project), "compare")
    assert again.info.run_id != run.info.run_id


class Late(MlflowClient):
    """A client whose deletions come after another checkout's, and after a `mlflow gc`."""

    def delete_run(self, run_id: str) -> None:
        self._tracking_client.store._hard_delete_run(run_id)
        super().delete_run(run_id)

    def delete_logged_model(self, model_id: str) -> None:
        self._tracking_client.store._hard_delete_logged_model(model_id)
        super().delete_logged_model(model_id)


def test_what_another_checkout_has_removed_meanwhile_is_no_fault(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "seed-0.keras").write_bytes(b"no test loads this one")
    late = store_of(
        project / "a", project, monkeypatch, Late(f"sqlite:///{project}/mlruns/mlflow.db")
    )
    for accuracy in (0.97, 0.98):
        assert late.log_train("cell", [make_run(accuracy=accuracy)], project) == Logged(1, 0)
        study = STUDY | {"highest_stable": accuracy}
        assert late.log_search("batchnorm-relu", study, trials(2)) == Logged(2, 0)
    assert len(parents(project, "train")) == len(parents(project, "search")) == 1


class Slower(MlflowClient):
    """A client that is overtaken by another checkout after each look for an experiment."""

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        found = super().get_experiment_by_name(name)
        if found is None:
            MlflowClient(self.tracking_uri).create_experiment(name)
        return found


def test_an_experiment_that_another_checkout_makes_meanwhile_is_taken(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower = Slower(f"sqlite:///{project}/mlruns/mlflow.db")
    store = store_of(project / "a", project, monkeypatch, slower)
    assert store.log_compare([make_run()]) == Logged(1, 0)
    assert len(logged_runs(client(project), "compare")) == 1
