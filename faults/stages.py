"""A small pipeline of the project's real parts: what the stages do, without the training."""

import contextlib
import hashlib
import json
import math
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

from lr_ceiling import find_ceiling
from lr_ceiling.evidence.cell import copy_models
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.files import read_json, write_bytes, write_json, write_text
from lr_ceiling.execution.provenance import mark_logged, write_facts
from lr_ceiling.mnist.results import Check, Curve, RunResult, read_runs, write_runs
from lr_ceiling.mnist.specification import RunSpec

SEEDS = (0, 1)
# The model's name in the registry.
NAME = "digits"
TRAIN, MODELS = Path("data/train/cell"), Path("data/models/cell")
DATABASE = Path("mlruns/mlflow.db")


class Inline(Executor):
    """Runs a task in the process that submits it, so the order of the writes is always the same."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def fetch() -> None:
    """Write a file of bytes."""
    write_bytes(Path("data/input.bin"), bytes(range(256)) * 32)


def train() -> None:
    """Store two runs with their models, then write them out for the next stages."""
    store = RunStore(Path("state/runs"))
    runs = [store.find(_spec(seed), test=True, model=True) or _train(seed, store) for seed in SEEDS]
    copy_models(runs, store, MODELS)
    write_runs(TRAIN / "runs.json", runs)


def search() -> None:
    """Search with a few runs and a journal."""
    found = find_ceiling(
        _network, low=1e-3, high=1, budget=1, confirmations=0, usable=False, executor=Inline(),
        storage="state/search/arm.journal", progress=False,
    )  # fmt: skip
    write_text(Path("data/search/ceiling.json"), json.dumps(found.to_json(), indent=2))


def report() -> None:
    """Write two reports on the outputs of the other stages."""
    runs = read_runs(TRAIN / "runs.json")
    content = {
        "labels": [run.label for run in runs],
        "search": read_json(Path("data/search/ceiling.json")),
    }
    write_json(Path("reports/comparison.json"), content)
    write_json(Path("reports/metrics.json"), {"runs": len(runs)})


def log() -> None:
    """Log the runs and their models to MLflow."""
    from lr_ceiling import tracking

    with tracking.open_store() as store:
        store.log_train("cell", read_runs(TRAIN / "runs.json"), MODELS)
    mark_logged("cell")


def promote() -> None:
    """Register and promote both models, one after the other, unless they were live already."""
    from lr_ceiling.execution.files import sha256_of
    from lr_ceiling.live.registry import SHA256, Registry, one_at_a_time
    from lr_ceiling.tracking import open_store

    for run in read_runs(TRAIN / "runs.json"):
        with one_at_a_time(), open_store() as store:
            registry = Registry(store, NAME)
            registry.settle()
            digest = sha256_of(MODELS / f"seed-{run.spec.seed}.keras")
            live = registry.at("champion")
            if live and int(live.tags["seed"]) >= run.spec.seed:
                continue
            tags = {SHA256: digest, "seed": str(run.spec.seed)}
            registry.promote(registry.put_forward(store.model_of(run), tags), live)
            write_json(Path("state/promotion.json"), {"live": run.spec.seed + 1, "model": NAME})


STAGES: dict[str, Callable[[], None]] = {
    "fetch": fetch,
    "train": train,
    "search": search,
    "report": report,
    "log": log,
    "promote": promote,
}


def outputs(folder: Path) -> dict[str, str]:
    """The digest of every output of a stage."""
    files = [path for room in ("data", "reports") for path in sorted((folder / room).rglob("*"))]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file() and not path.name.endswith(".partial")
    }


def logged(folder: Path) -> list[tuple[object, ...]]:
    """The contents of MLflow: its runs with their metrics, and the registry's aliases."""
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        runs = database.execute(
            "SELECT name, status, (SELECT count(*) FROM metrics m WHERE m.run_uuid = r.run_uuid) "
            "FROM runs r WHERE lifecycle_stage = 'active' ORDER BY name"
        ).fetchall()
        aliases = database.execute(
            "SELECT alias, t.value FROM registered_model_aliases a JOIN model_version_tags t "
            "ON t.name = a.name AND t.version = a.version AND t.key = 'sha256' ORDER BY alias"
        ).fetchall()
    return [*runs, *aliases]


def live(folder: Path) -> str | None:
    """The digest of the live model's file; None if no model is live yet.

    Raises ValueError if the champion's file is not the registered one.
    """
    with contextlib.closing(sqlite3.connect(folder / DATABASE)) as database:
        found = database.execute(
            "SELECT v.source, t.value FROM registered_model_aliases a "
            "JOIN model_versions v ON v.name = a.name AND v.version = a.version "
            "JOIN model_version_tags t ON t.name = a.name AND t.version = a.version "
            "AND t.key = 'sha256' WHERE a.alias = 'champion'"
        ).fetchone()
    if found is None:
        return None
    source, digest = found
    content = (Path(source) / "data" / "model.keras").read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{source} is not what was registered")
    return str(digest)


def _network(learning_rate: float, seed: int) -> bool:
    """Whether it trains: it does up to about 0.05; near this edge chance decides."""
    return math.log10(learning_rate) + 0.2 * math.sin(seed) < -1.3


def _spec(seed: int) -> RunSpec:
    return RunSpec(
        variant="baseline", activation="relu", learning_rate=0.01, seed=seed, optimizer="adam",
        batch_size=32, epochs=1, steps_per_epoch=20, target_accuracy=0.9, data_digest="d" * 16,
    )  # fmt: skip


def _train(seed: int, store: RunStore) -> RunResult:
    curve = (1.0, 0.5)
    run = RunResult(
        spec=_spec(seed), label="stable", called=None, called_at=None, called_stable_at=None,
        steps=20, parameters=100, steps_to_95=10, validation_accuracy=0.95,
        reestimated_accuracy=None, test_accuracy=0.94,
        checks=(Check(step=20, images=500, inference=0.95, training=None),),
        curve=Curve(steps=(10, 20), loss=curve, loss_min=curve, loss_max=curve, accuracy=curve),
    )  # fmt: skip
    write_bytes(store.model_path(run.spec), b"weights of seed %d " % seed * 1000)
    store.keep(run, model=True)
    write_facts(run.spec.key, started=1.0, seconds=2.0)
    return run
