"""MLflow: a mirror of runs and studies for people to look at and compare.

Nothing reads a result back from it: deleting `mlruns/` changes no result, and `lr-ceiling log`
rebuilds all but the model registry, which is `registry`'s. A run is known by its key: what is
logged whole is never logged twice; what a killed logger left behind, or an older result of the same
key, is removed and logged again.

The store is SQLite in `mlruns/`, or what MLFLOW_TRACKING_URI names. LR_CEILING_TRACKING=off
switches the stages' logging off.
"""

import contextlib
import json
import logging
import math
import os
import platform
import re
import shutil
import sqlite3
import sys
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, TypeGuard
from urllib.parse import quote

import filelock
import numpy as np

from lr_ceiling.errors import LockedError, ResultsError, TrackingError
from lr_ceiling.execution.provenance import Facts, commit, read_facts, root
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.rounding import short

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that is away costs 2 x 10 s at most; MLflow's 7 retries of 120 s take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # The terminal belongs to the caller.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# mlflow reads some of them while it is imported; what the user has set wins.
os.environ.update(SETTINGS | dict(os.environ))

import mlflow.db  # noqa: E402
from alembic.util.exc import CommandError  # noqa: E402
from mlflow import MlflowClient, pyfunc  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    LoggedModelOutput,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.models import Model, ModelSignature  # noqa: E402
from mlflow.store.db.utils import _get_latest_schema_revision  # noqa: E402
from mlflow.types import Schema, TensorSpec  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

SWITCH = "LR_CEILING_TRACKING"
# The most that MLflow's search gives in one call.
RUNS_PER_CALL = 50_000
# A logger is done with a group in seconds; one that holds the lock for longer hangs.
LOCK_SECONDS = 60
# The UI keeps in the browser whether it shows pages for training; a link must say so.
TRAINING = "workflowType=machine_learning"
# A view that the UI offers under "Views", and opens where a link names it by this key.
VIEW = "measured"
# Parameters are text, and sorted as such: what has an order is shown as a metric.
RUN_COLUMNS = (
    *("params.`variant`", "params.`activation`", "metrics.`learning_rate`", "params.`seed`"),
    *("params.`label`", "metrics.`validation_accuracy`", "metrics.`test_accuracy`"),
    "metrics.`steps_to_95`",
)
TRIAL_COLUMNS = (
    *("params.`variant`", "params.`activation`", "metrics.`learning_rate`", "params.`label`"),
    *("metrics.`stable`", "metrics.`validation_accuracy`", "metrics.`steps`", "tags.`trial`"),
)
# How each experiment is shown: its description, and the state of the view above.
SHOWN: dict[str, tuple[str, dict[str, object]]] = {
    "train": (
        "The grid: each network at each learning rate, once a seed. Runs of one `group` differ in "
        "variant and seed alone.",
        {"selectedColumns": RUN_COLUMNS},
    ),
    "search": (
        "The highest stable learning rate of each network: a run an Optuna study, and below it a "
        "run a trial.",
        {
            "selectedColumns": TRIAL_COLUMNS,
            # Trials alone, the studies' own runs left out.
            "searchFilter": "tags.trial LIKE '%'",
            "orderByKey": "metrics.`learning_rate`",
            "orderByAsc": True,
        },
    ),
    "compare": (
        "What people compared by `lr-ceiling compare`, outside the pipeline.",
        {"selectedColumns": RUN_COLUMNS},
    ),
}


SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 28, 28, 1))]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10))]),
)


class Logged(NamedTuple):
    """How many runs of a group were sent, and how many were in the store already."""

    new: int
    known: int


class Page(NamedTuple):
    """A page of MLflow's UI: what it shows, and what follows the server's address."""

    title: str
    path: str


def store_uri() -> str:
    """Where runs are logged: MLFLOW_TRACKING_URI, or SQLite in `mlruns/`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlruns' / 'mlflow.db'}"


def mirror(send: Callable[["Store"], object]) -> None:
    """Open the store and let `send` log to it, at no risk for the caller.

    A store that is away or fails costs one line of warning on stderr and seconds of waiting.
    With LR_CEILING_TRACKING=off nothing happens.
    """
    if os.environ.get(SWITCH) == "off":
        return
    try:
        with open_store() as store:
            send(store)
    # Training took minutes: no fault of a mirror, foreseen or not, may lose it.
    except Exception as error:
        reason = textwrap.shorten(str(error) or repr(error), 300)
        print(f"warning: {reason}; `lr-ceiling log` sends it later", file=sys.stderr)


@contextlib.contextmanager
def open_store() -> Iterator["Store"]:
    """The tracking store, for one writer at a time; SQLite is made or migrated first.

    Raises TrackingError where it can't be reached or fails, LockedError where another process
    keeps writing to it.
    """
    # They tell of every migration and of every retry.
    for chatty in ("mlflow", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    uri = store_uri()
    database = _database(uri)
    lock = (database or root() / "state" / "tracking").with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock, timeout=LOCK_SECONDS):
            fresh = database is not None and _prepare(database)
            client = MlflowClient(uri)
            if fresh:
                # MLflow makes an experiment "Default" with each database; nothing is logged there.
                client.delete_experiment("0")
            yield Store(client, database.parent / "artifacts" if database else None)
    except filelock.Timeout:
        raise LockedError(f"another process has held {lock} for {LOCK_SECONDS} s") from None
    # Of `requests` too: its exceptions are OSErrors.
    except (MlflowException, sqlite3.Error, OSError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" ...")
        # A URI may carry a password.
        fault = re.sub(r"//[^/@\s]*@", "//", f"MLflow at {uri} failed: {reason}")
        raise TrackingError(fault) from error


class Store:
    """Runs and studies on their way to MLflow. Get one from `open_store`, or let `mirror` do."""

    def __init__(self, client: MlflowClient, artifacts: Path | None) -> None:
        """`artifacts` is the folder for files; None leaves their place to the server."""
        self._client = client
        self._artifacts = artifacts
        self._commit = commit()

    @property
    def client(self) -> MlflowClient:
        """For the model registry, which lies in the same store."""
        return self._client

    def model_of(self, run: RunResult) -> LoggedModel:
        """The model that `log_train` logged with a run. Raises TrackingError for none."""
        experiment = self._experiment("train")
        identity = _run_identity(run)
        for logged in self._search(experiment, f"tags.key = '{identity['key']}'"):
            if identity.items() <= logged.data.tags.items():
                query = f"source_run_id = '{logged.info.run_id}'"
                for model in self._client.search_logged_models([experiment], query):
                    return model
        raise TrackingError(f"MLflow holds no model of {run.spec.name}: run `lr-ceiling log`")

    def log_train(self, cell: str, runs: Iterable[RunResult], models: Path) -> Logged:
        """Log a cell's runs, each with its model `models`/seed-<seed>.keras."""
        experiment = self._experiment("train")
        tags = {"dvc_stage": f"train@{cell}"}
        return _count(
            self._log_once(experiment, run, tags, models / f"seed-{run.spec.seed}.keras")
            for run in runs
        )

    def log_compare(self, runs: Iterable[RunResult]) -> Logged:
        """Log runs that people compare outside the pipeline."""
        experiment = self._experiment("compare")
        return _count(self._log_once(experiment, run) for run in runs)

    def log_search(
        self,
        arm: str,
        study: Mapping[str, object],
        runs: Sequence[RunResult],
        files: Sequence[Path] = (),
    ) -> Logged:
        """Log an arm's study with its `files`, and its trials in index order as its children.

        `study` holds at least "key", "variant", "activation" and "highest_stable". Whatever is in
        it is logged, numbers as metrics and text as parameters. A study that has grown since, or
        has other files, is logged anew.
        """
        experiment = self._experiment("search")
        identity = _identity(
            str(study["key"]),
            study,
            [run.model_dump_json() for run in runs],
            *([file.name, sha256(file.read_bytes()).hexdigest()] for file in files),
        )
        if self._is_logged(experiment, identity):
            return Logged(0, len(runs))
        shared = {
            "variant": str(study["variant"]),
            "activation": str(study["activation"]),
            "group": str(study["activation"]),
            "dvc_stage": f"search@{arm}",
        }
        facts = read_facts(identity["key"])
        parent = self._start(
            experiment,
            f"search {study['variant']} {study['activation']}",
            facts,
            identity | shared | {"mlflow.note.content": _describe_study(study, len(runs))},
        )
        self._send(parent, _study_params(study), _study_metrics(study, _end(parent, facts)))
        for run in runs[:1]:
            self._log_dataset(parent, run.spec.data_digest)
        for file in files:
            self._client.log_artifact(parent.info.run_id, str(file))
        for index, run in enumerate(runs):
            trial = {"mlflow.parentRunId": parent.info.run_id, "trial": str(index)}
            self._log_run(experiment, run, shared | trial)
        self._finish(parent, facts)
        return Logged(len(runs), 0)

    def pages(self) -> list[Page]:
        """The pages of the UI that show most; none where nothing is logged."""
        found: list[Page] = []
        for name in SHOWN:
            experiment = self._client.get_experiment_by_name(name)
            if experiment is None or experiment.lifecycle_stage == "deleted":
                continue
            number = str(experiment.experiment_id)
            runs = self._search(number, "")
            view = f"/#/experiments/{number}/runs?{TRAINING}"
            what = "all trials" if name == "search" else "all runs"
            found.append(Page(f"{name}: {what}", f"{view}&viewStateShareKey={VIEW}"))
            if name == "search":
                found += _study_pages(number, runs)
            else:
                found += _twin_pages(number, runs, view)
        return found

    def _log_once(
        self,
        experiment: str,
        run: RunResult,
        tags: Mapping[str, str] | None = None,
        model: Path | None = None,
    ) -> bool:
        if self._is_logged(experiment, _run_identity(run)):
            return False
        self._log_run(experiment, run, tags or {}, model)
        return True

    def _log_run(
        self, experiment: str, run: RunResult, tags: Mapping[str, str], model: Path | None = None
    ) -> None:
        if model and not model.is_file():
            raise ResultsError(f"{model} is missing: run `dvc repro` to make it")
        facts = read_facts(run.spec.key)
        created = self._start(experiment, run.spec.name, facts, _run_tags(run) | dict(tags))
        model_id = self._log_model(created, run, model) if model else None
        # The UI sorts by parameters and metrics, not by tags; its charts know nothing of tags.
        values = run.spec.model_dump() | {"label": run.label}
        params = [Param(name, str(value)) for name, value in values.items()]
        self._send(created, params, _run_metrics(run, facts, _end(created, facts), model_id))
        self._log_dataset(created, run.spec.data_digest)
        self._finish(created, facts)

    def _experiment(self, name: str) -> str:
        artifacts = str(self._artifacts / name) if self._artifacts else ""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            return str(self._client.create_experiment(name, artifacts or None, _display(name)))
        if artifacts and found.artifact_location != artifacts:
            raise TrackingError(
                f"MLflow's experiment {name!r} keeps its files in {found.artifact_location}, not "
                f"in {artifacts}: it was moved, so remove it and let `lr-ceiling log` rebuild it"
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for tag, value in _display(name).items():
            if tag not in found.tags:
                self._client.set_experiment_tag(found.experiment_id, tag, value)
        return str(found.experiment_id)

    def _is_logged(self, experiment: str, identity: Mapping[str, str]) -> bool:
        """Whether this result is there whole; what else bears its key is removed."""
        # Under the lock nobody else is writing: a run that is not finished is a dead logger's.
        whole = False
        for run in self._search(experiment, f"tags.key = '{identity['key']}'"):
            if "mlflow.parentRunId" in run.data.tags:
                continue
            if run.info.status == "FINISHED" and identity.items() <= run.data.tags.items():
                whole = True
            else:
                self._remove(experiment, run)
        return whole

    def _search(self, experiment: str, query: str) -> Sequence[Run]:
        return self._client.search_runs([experiment], query, max_results=RUNS_PER_CALL)

    def _remove(self, experiment: str, run: Run) -> None:
        run_id = run.info.run_id
        # Children first: killed in the middle of this, the parent is still there to find them by.
        for child in self._search(experiment, f"tags.`mlflow.parentRunId` = '{run_id}'"):
            self._client.delete_run(child.info.run_id)
        for model in self._client.search_logged_models(
            [experiment], filter_string=f"source_run_id = '{run_id}'"
        ):
            self._client.delete_logged_model(model.model_id)
        self._client.delete_run(run_id)

    def _start(
        self, experiment: str, name: str, facts: Facts | None, tags: Mapping[str, str]
    ) -> Run:
        started = facts.started if facts else time.time()
        own = {
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": tags.get("dvc_stage", "lr-ceiling"),
            # A run executed elsewhere has no commit here but that whose dvc.lock vouches for it.
            "mlflow.source.git.commit": facts.commit if facts else self._commit,
            "machine": facts.machine if facts else None,
        }
        known = {tag: value for tag, value in own.items() if value is not None}
        return self._client.create_run(experiment, round(started * 1000), known | dict(tags), name)

    def _finish(self, run: Run, facts: Facts | None) -> None:
        self._client.set_terminated(run.info.run_id, "FINISHED", _end(run, facts))

    def _send(self, run: Run, params: list[Param], metrics: list[Metric]) -> None:
        # The client splits this by MLflow's limits of one call: 1,000 metrics, 100 parameters.
        self._client.log_batch(run.info.run_id, metrics, params)

    def _log_dataset(self, run: Run, digest: str) -> None:
        # MLflow takes digests of 36 characters at most.
        dataset = Dataset("mnist", digest[:16], "local", json.dumps({"sha256": digest}))
        context = InputTag("mlflow.data.context", "training")
        self._client.log_inputs(run.info.run_id, [DatasetInput(dataset, [context])])

    def _log_model(self, run: Run, result: RunResult, keras_file: Path) -> str:
        logged = self._client.create_logged_model(
            run.info.experiment_id, "model", run.info.run_id, {"key": result.spec.key}
        )
        output = LoggedModelOutput(logged.model_id, step=result.steps)
        self._client.log_outputs(run.info.run_id, [output])
        model = Model(
            artifact_path=logged.artifact_location,
            run_id=run.info.run_id,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            signature=SIGNATURE,
        )
        with tempfile.TemporaryDirectory() as folder:
            _write_model(Path(folder), model, keras_file)
            self._client.log_model_artifacts(logged.model_id, folder)
        self._client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
        return str(logged.model_id)


def _display(experiment: str) -> dict[str, str]:
    """An experiment's tags that tell the UI how to show it."""
    description, state = SHOWN[experiment]
    view = {"name": "What was measured", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": description,
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }


def _twin_pages(experiment: str, runs: Iterable[Run], view: str) -> Iterator[Page]:
    """The curves of each group, and its two runs of the lowest seed beside one another."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.data.tags["group"]].append(run)
    for group, members in sorted(groups.items()):
        if len({run.data.tags["variant"] for run in members}) < 2:
            continue
        wanted = quote(f"tags.group = '{group}'")
        yield Page(f"{group}: curves", f"{view}&compareRunsMode=CHART&searchFilter={wanted}")
        pairs: dict[int, dict[str, str]] = defaultdict(dict)
        for run in members:
            pairs[int(run.data.params["seed"])][run.data.tags["variant"]] = run.info.run_id
        twins = {seed: pair for seed, pair in sorted(pairs.items()) if len(pair) == 2}
        for seed, pair in list(twins.items())[:1]:
            ids = quote(json.dumps([run_id for _, run_id in sorted(pair.items())]))
            asked = f"runs={ids}&experiments={quote(json.dumps([experiment]))}&{TRAINING}"
            yield Page(f"{group}: twins of seed {seed}", f"/#/compare-runs?{asked}")


def _study_pages(experiment: str, runs: Iterable[Run]) -> Iterator[Page]:
    for run in sorted(runs, key=lambda run: str(run.info.run_name)):
        if "mlflow.parentRunId" not in run.data.tags:
            path = f"/#/experiments/{experiment}/runs/{run.info.run_id}?{TRAINING}"
            yield Page(str(run.info.run_name), path)


def _write_model(folder: Path, model: Model, keras_file: Path) -> None:
    """The folder that `mlflow.keras.save_model` writes, without the 5 s of importing Keras."""
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(keras_file, data / "model.keras")
    (data / "keras_module.txt").write_text("keras")
    packages = [f"{name}=={version(name)}" for name in ("mlflow", "keras", "tensorflow")]
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
    )
    model.add_flavor(
        "keras",
        data="data",
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    pyfunc.add_to_model(model, loader_module="mlflow.keras", python_env="python_env.yaml")
    model.model_size_bytes = keras_file.stat().st_size
    model.save(folder / "MLmodel")


def _identity(key: str, *result: object) -> dict[str, str]:
    # The key says what was asked for; changed code may have given it another result.
    return {"key": key, "result": digest_of(*result)}


def _run_identity(run: RunResult) -> dict[str, str]:
    return _identity(run.spec.key, run.model_dump_json())


def _run_tags(run: RunResult) -> dict[str, str]:
    spec = run.spec
    return _run_identity(run) | {
        "variant": spec.variant,
        "activation": spec.activation,
        "label": run.label,
        # What is to be compared side by side: the two variants and their seeds.
        "group": f"{spec.activation} lr={short(spec.learning_rate, 4)}",
        "mlflow.note.content": _describe_run(run),
    }


def _describe_run(run: RunResult) -> str:
    spec = run.spec
    called = f" It was called {run.called} after step {run.called_at:,}." if run.called else ""
    return (
        f"The {spec.variant} network with {spec.activation}, trained by {spec.optimizer} at "
        f"learning rate {short(spec.learning_rate, 4)} from seed {spec.seed}: **{run.label}**. "
        f"After {run.steps:,} of {spec.horizon:,} steps its accuracy on the validation images is "
        f"{run.validation_accuracy:.4f}; stable means {spec.target_accuracy:g} or more.{called}"
    )


def _describe_study(study: Mapping[str, object], trials: int) -> str:
    network = f"{study['variant']} network with {study['activation']}"
    highest = study.get("highest_stable")
    found = short(highest, 4) if isinstance(highest, int | float) else "none"
    values = dict(_flat(study))
    rate, low, high = (values.get(f"lr90/{end}") for end in ("estimate", "ci95/low", "ci95/high"))
    ceiling = ""
    if _is_finite(rate):
        ends = [short(end) if _is_finite(end) else "unbounded" for end in (low, high)]
        ceiling = (
            f"A fresh seed is stable with probability 0.9 up to learning rate **{short(rate, 3)}** "
            f"(95% interval: {ends[0]} to {ends[1]}). "
        )
    return (
        f"{ceiling}The highest learning rate at which the {network} was stable in {trials} trials: "
        f"{found}."
    )


def _run_metrics(
    run: RunResult, facts: Facts | None, timestamp: int, model_id: str | None
) -> list[Metric]:
    """Curves on the axis of optimizer steps, and single values at the run's last step."""
    curve = run.curve
    series: dict[str, Iterable[tuple[int, float | None]]] = {
        "train/loss": zip(curve.steps, curve.loss, strict=True),
        "train/loss_min": zip(curve.steps, curve.loss_min, strict=True),
        "train/loss_max": zip(curve.steps, curve.loss_max, strict=True),
        "train/accuracy": zip(curve.steps, curve.accuracy, strict=True),
        "validation/accuracy": [(check.step, check.inference) for check in run.checks],
        # Batch norm with the images' own statistics: the gap that the post closes on.
        "validation/accuracy_training_mode": [(check.step, check.training) for check in run.checks],
    }
    # The learning rate is a metric as well: MLflow sorts parameters as text.
    values = {
        "learning_rate": run.spec.learning_rate,
        "log10_learning_rate": math.log10(run.spec.learning_rate),
        "stable": run.label == "stable",
        "validation_accuracy": run.validation_accuracy,
        "test_accuracy": run.test_accuracy,
        "steps_to_95": run.steps_to_95,
        "steps": run.steps,
        "called_at": run.called_at,
        "parameters": run.parameters,
        "seconds": facts.seconds if facts else None,
    }
    return [
        Metric(name, value, timestamp, step)
        for name, points in series.items()
        for step, value in points
        if _is_finite(value)
    ] + [
        Metric(name, float(value), timestamp, run.steps, model_id)
        for name, value in values.items()
        if _is_finite(value)
    ]


def _study_metrics(study: Mapping[str, object], timestamp: int) -> list[Metric]:
    return [Metric(name, value, timestamp, 0) for name, value in _flat(study) if _is_finite(value)]


def _study_params(study: Mapping[str, object]) -> list[Param]:
    return [Param(name, value) for name, value in _flat(study) if isinstance(value, str)]


def _flat(facts: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}/")
        elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
            yield from _flat(dict(zip(("low", "high"), value, strict=True)), f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", value


def _is_finite(value: object) -> TypeGuard[float]:
    # MLflow stores infinity as 1.8e308 and has had trouble with NaN; the label tells of both.
    return isinstance(value, int | float) and math.isfinite(value)


def _end(run: Run, facts: Facts | None) -> int:
    # Without facts a run ends where it starts: no duration is invented.
    return int(run.info.start_time) + round(facts.seconds * 1000 if facts else 0)


def _count(sent: Iterable[bool]) -> Logged:
    answers = list(sent)
    return Logged(sum(answers), len(answers) - sum(answers))


def _database(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def _prepare(database: Path) -> bool:
    """Make the SQLite database, or bring it to this MLflow's schema: MLflow's own start races.

    Returns whether it is new.
    """
    if not database.exists():
        partial = database.with_name(database.name + ".partial")
        partial.unlink(missing_ok=True)
        _upgrade(partial)
        partial.replace(database)
        return True
    if _revision(database) != _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        _upgrade(database)
    return False


def _upgrade(database: Path) -> None:
    try:
        mlflow.db.commands.main(["upgrade", f"sqlite:///{database}"], standalone_mode=False)
    except (CommandError, SQLAlchemyError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" ...")
        raise TrackingError(
            f"{database} can't be brought to this MLflow's schema ({reason}): move mlruns/ away, "
            "and `lr-ceiling log` makes it anew"
        ) from None


def _revision(database: Path) -> str | None:
    # Asked of SQLite itself, for MLflow tries to open a damaged file for a minute and a half.
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        if tables.fetchone() is None:
            return None
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(revision)
