"""Runs and studies on their way to MLflow.

A run is known by its key: what is logged whole is never logged twice; what a killed logger left
behind, or an older result of the same key, is removed and logged again.

Several checkouts may log to one server at once. There, a run that another one is logging stays, and
where both have logged the same result, one is kept.
"""

import contextlib
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModel,
    Metric,
    Param,
    Run,
)
from mlflow.exceptions import MlflowException

from lr_ceiling.errors import ResultsError, TrackingError
from lr_ceiling.execution.provenance import Facts, commit, read_facts, root
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.tracking.columns import SHOWN, display, views
from lr_ceiling.tracking.descriptions import describe_run, describe_study
from lr_ceiling.tracking.links import Page, pages
from lr_ceiling.tracking.location import NAMED
from lr_ceiling.tracking.metrics import run_metrics, run_params, study_metrics, study_params
from lr_ceiling.tracking.models import log_model
from lr_ceiling.tracking.moved import is_same_folder
from lr_ceiling.tracking.names import colour_of, group_of, run_name, trial_name
from lr_ceiling.tracking.views import View, is_edited

# The most that MLflow's search gives in one call.
RUNS_PER_CALL = 50_000
# The tag that says which checkout logs a run to a server, and since when.
LOGGER = "logger"
# A checkout logs a run in seconds and a study in minutes. One that takes longer was killed.
ABANDONED_SECONDS = 3600


class Logged(NamedTuple):
    """How many runs of a group were sent, and how many were in the store already."""

    new: int
    known: int


class Store:
    """Runs and studies on their way to MLflow. Get one from `open_store`, or let `mirror` do."""

    def __init__(self, client: MlflowClient, artifacts: Path | None, place: str) -> None:
        """`artifacts` is the folder for files; None leaves their place to the server.

        `place` is the store's URI without credentials, for messages.
        """
        self.place = place
        self._client = client
        self._artifacts = artifacts
        self._commit = commit()
        # A database's file is locked, while a server may have other writers.
        self._logger = None if artifacts else digest_of(platform.node(), str(root()))

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

    def log_train(self, cell: str, runs: Sequence[RunResult], models: Path) -> Logged:
        """Log a cell's runs, each with its model `models`/seed-<seed>.keras."""
        experiment = self._experiment("train", map(group_of, runs))
        tags = {"dvc_stage": f"train@{cell}"}
        return _count(
            self._log_once(experiment, run, tags, models / f"seed-{run.spec.seed}.keras")
            for run in runs
        )

    def log_compare(self, runs: Sequence[RunResult]) -> Logged:
        """Log runs that people compare outside the pipeline."""
        experiment = self._experiment("compare", map(group_of, runs))
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
        activation = str(study["activation"])
        experiment = self._experiment("search", [activation])
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
            "activation": activation,
            "group": activation,
            "dvc_stage": f"search@{arm}",
        }
        facts = read_facts(identity["key"])
        parent = self._start(
            experiment,
            f"search {study['variant']} {activation}",
            facts,
            identity | shared | {"mlflow.note.content": describe_study(study, len(runs))},
        )
        self._send(parent, study_params(study), study_metrics(study, _end(parent, facts)))
        for run in runs[:1]:
            self._log_dataset(parent, run.spec.data_digest)
        for file in files:
            self._client.log_artifact(parent.info.run_id, str(file))
        for index, run in enumerate(runs):
            trial = {"mlflow.parentRunId": parent.info.run_id, "trial": str(index)}
            self._log_run(experiment, run, trial_name(run.spec, index), shared | trial)
        self._finish(parent, facts)
        self._keep_one(experiment, identity)
        return Logged(len(runs), 0)

    def pages(self) -> list[Page]:
        """The pages of the UI that show most; none where nothing is logged.

        The views that they open are added to what an older version of this program logged.
        """
        found: list[Page] = []
        for name in SHOWN:
            experiment = self._client.get_experiment_by_name(name)
            if experiment is not None and experiment.lifecycle_stage != "deleted":
                number = str(experiment.experiment_id)
                # Without a group are those that people have added by hand.
                runs = [run for run in self._search(number, "") if "group" in run.data.tags]
                groups = {run.data.tags["group"] for run in runs}
                self._write_views(number, views(name, groups), experiment.tags)
                found += pages(name, number, runs)
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
        self._log_run(experiment, run, run_name(run.spec), tags or {}, model)
        self._keep_one(experiment, _run_identity(run))
        return True

    def _log_run(
        self,
        experiment: str,
        run: RunResult,
        name: str,
        tags: Mapping[str, str],
        model: Path | None = None,
    ) -> None:
        if model and not model.is_file():
            raise ResultsError(f"{model} is missing: run `dvc repro` to make it")
        facts = read_facts(run.spec.key)
        created = self._start(experiment, name, facts, _run_tags(run) | dict(tags))
        model_id = log_model(self._client, created, run, model) if model else None
        metrics = run_metrics(run, facts, _end(created, facts), model_id)
        self._send(created, run_params(run), metrics)
        self._log_dataset(created, run.spec.data_digest)
        self._finish(created, facts)

    def _experiment(self, name: str, groups: Iterable[str] = ()) -> str:
        """The number of an experiment, which is made if need be, with the views of these groups."""
        artifacts = str(self._artifacts / name) if self._artifacts else ""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                number = self._client.create_experiment(name, artifacts or None, display(name))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                # Another checkout has just made it on this server.
                return self._experiment(name, groups)
            self._write_views(str(number), views(name, groups), {})
            return str(number)
        if artifacts and not is_same_folder(Path(found.artifact_location), Path(artifacts)):
            raise TrackingError(
                f"MLflow's experiment {name!r} keeps its files in {found.artifact_location}, not "
                f"in {artifacts}: another program made it; name another database in {NAMED}"
            )
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for tag, value in display(name).items():
            if tag not in found.tags:
                _insert(self._client.set_experiment_tag, found.experiment_id, tag, value)
        self._write_views(str(found.experiment_id), views(name, groups), found.tags)
        return str(found.experiment_id)

    def _write_views(
        self, experiment: str, wanted: Iterable[View], tags: Mapping[str, str]
    ) -> None:
        """Add the views that an experiment lacks, and renew those that nobody has changed."""
        for view in wanted:
            known = tags.get(view.tag)
            if known is None or (known != view.value and not is_edited(known)):
                _insert(self._client.set_experiment_tag, experiment, view.tag, view.value)

    def _is_logged(self, experiment: str, identity: Mapping[str, str]) -> bool:
        """Whether this result is there whole; what else bears its key is removed."""
        whole = False
        for run in self._of_key(experiment, identity["key"]):
            if _is_whole(run, identity):
                whole = True
            elif not self._is_being_logged(run):
                self._remove(experiment, run)
        return whole

    def _is_being_logged(self, run: Run) -> bool:
        """Whether another checkout may be logging this run to the server just now."""
        logger, _, began = run.data.tags.get(LOGGER, "").partition(" ")
        # A file is locked against other loggers, so an unfinished run is a dead logger's.
        if self._logger in (None, logger) or run.info.status == "FINISHED" or not began.isdigit():
            return False
        return time.time() - int(began) < ABANDONED_SECONDS

    def _keep_one(self, experiment: str, identity: Mapping[str, str]) -> None:
        """Of equal results that several checkouts have logged at the same time, keep one."""
        if self._logger is None:
            return
        found = self._of_key(experiment, identity["key"])
        equal = {str(run.info.run_id): run for run in found if _is_whole(run, identity)}
        if len(equal) < 2:
            return
        # The registry's models belong to their runs.
        registered = {number for number in equal if self._is_registered(number)}
        others = sorted(equal.keys() - registered)
        # By its number, so that all checkouts keep the same one.
        for number in others if registered else others[1:]:
            self._remove(experiment, equal[number])

    def _is_registered(self, run_id: str) -> bool:
        return bool(self._client.search_model_versions(f"run_id = '{run_id}'"))

    def _of_key(self, experiment: str, key: str) -> list[Run]:
        """The runs of a key, without the trials of studies."""
        found = self._search(experiment, f"tags.key = '{key}'")
        return [run for run in found if "mlflow.parentRunId" not in run.data.tags]

    def _search(self, experiment: str, query: str) -> Sequence[Run]:
        return self._client.search_runs([experiment], query, max_results=RUNS_PER_CALL)

    def _remove(self, experiment: str, run: Run) -> None:
        run_id = run.info.run_id
        # Children first: killed in the middle of this, the parent is still there to find them by.
        for child in self._search(experiment, f"tags.`mlflow.parentRunId` = '{run_id}'"):
            _delete(self._client.delete_run, child.info.run_id)
        for model in self._client.search_logged_models(
            [experiment], filter_string=f"source_run_id = '{run_id}'"
        ):
            _delete(self._client.delete_logged_model, model.model_id)
        _delete(self._client.delete_run, run_id)

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
            LOGGER: f"{self._logger} {int(time.time())}" if self._logger else None,
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
        _insert(self._client.log_inputs, run.info.run_id, [DatasetInput(dataset, [context])])


def _is_whole(run: Run, identity: Mapping[str, str]) -> bool:
    """Whether a run is logged to its end and holds this result."""
    return run.info.status == "FINISHED" and identity.items() <= run.data.tags.items()


def _insert(call: Callable[..., None], *arguments: object) -> None:
    """Call a method that inserts a row. If another checkout has just inserted it, try again."""
    try:
        call(*arguments)
    except MlflowException as error:
        # A server looks for the row and then inserts it, so that the slower one of two gets this.
        if error.error_code != "BAD_REQUEST":
            raise
        call(*arguments)


def _delete(call: Callable[[str], None], number: str) -> None:
    """Call a method that deletes something, which another checkout may have just deleted."""
    with allowing("RESOURCE_DOES_NOT_EXIST"):
        call(number)


@contextlib.contextmanager
def allowing(code: str) -> Iterator[None]:
    """Pass over an error of MLflow that has this code."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


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
        "group": group_of(run),
        "mlflow.runColor": colour_of(spec.variant),
        "mlflow.note.content": describe_run(run),
    }


def _end(run: Run, facts: Facts | None) -> int:
    # Without facts a run ends where it starts: no duration is invented.
    return int(run.info.start_time) + round(facts.seconds * 1000 if facts else 0)


def _count(sent: Iterable[bool]) -> Logged:
    answers = list(sent)
    return Logged(sum(answers), len(answers) - sum(answers))
