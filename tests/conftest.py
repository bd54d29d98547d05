"""Fixtures that several test files share."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any, TypeVar

import click
import filelock
import numpy as np
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser
from ruamel.yaml import YAML

import wheels
from browser import Watched, started_chromium, watched_page
from lr_ceiling import tracking
from lr_ceiling.errors import DatasetError
from lr_ceiling.evidence.records import (
    Arm,
    ArmCeilings,
    AuditedCalls,
    Study,
    Surest,
    UsableRate,
)
from lr_ceiling.execution.executor import CONTEXT
from lr_ceiling.execution.files import write_json
from lr_ceiling.live.seeds import search_seed, train_seeds
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Arrays, Bytes
from lr_ceiling.mnist.results import Check, Curve, RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.mnist.task import PREPARED_BY
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.stages import report
from lr_ceiling.pipeline.stages.fetch import check_digests, fetch
from lr_ceiling.problems.environment import pin
from lr_ceiling.report.findings import Cell, Findings
from lr_ceiling.report.schemas import CeilingsReport, ValidationReport
from lr_ceiling.search.estimates import Belief, Estimate
from lr_ceiling.search.posterior import NO_CALLS
from smoke import OUTSIDE, change_params, lay_out
from smoke import run as run_in

T = TypeVar("T")
for name in OUTSIDE:
    os.environ.pop(name, None)

# Before a test imports TensorFlow, so that trainings in this process give the same bytes as in a
# worker. Some processors use oneDNN only if told to.
pin()

# A shell's background jobs ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The server of this process's workers lives as long as it, and imports nothing after its start:
# were a test that needs no TensorFlow the first to start it, every worker would import it anew.
CONTEXT.set_forkserver_preload([PREPARED_BY])

ROOT = Path(__file__).parents[1]

# Begun first, the longest before the others, so that no core idles at the end. `test_pipeline`
# makes the small pipeline: those that use it come later, or they would wait for it.
LONGEST = (
    "test_pipeline",
    "test_training",
    "test_benchmark",
    "test_driver",
    "test_tutorial",
    "test_ahead",
    "test_rehearse",
    "test_retrain",
    "test_keras_run",
    "test_examples",
    "test_ui",
    "test_search_stage",
    "test_gate",
    "test_page",
    "test_find",
    "test_wheel",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files that take longest first; `--no-loadscope-reorder` leaves them there."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


# The lit segments of a seven-segment display: top, upper left and right, middle, lower left and
# right, bottom.
SEGMENTS = ["1110111", "0010010", "1011101", "1011011", "0111010",
            "1101011", "1101111", "1010010", "1111111", "1111011"]  # fmt: skip
# Rows and columns of each segment in a box of 20x14 pixels.
STROKES = [
    np.s_[0:3, 0:14],
    np.s_[0:11, 0:3],
    np.s_[0:11, 11:14],
    np.s_[9:12, 0:14],
    np.s_[9:20, 0:3],
    np.s_[9:20, 11:14],
    np.s_[17:20, 0:14],
]


def draw_digit(label: int, rng: np.random.Generator) -> Bytes:
    """A 28x28 image of a digit as a display shows it, a little moved, its ink uneven."""
    box = np.zeros((20, 14), dtype=bool)
    for stroke, lit in zip(STROKES, SEGMENTS[label], strict=True):
        box[stroke] |= lit == "1"
    top, left = rng.integers(3, 6), rng.integers(6, 9)
    image = np.zeros((28, 28), dtype=np.uint8)
    image[top : top + 20, left : left + 14] = box * rng.integers(100, 256, box.shape)
    return image


def draw_digits(count: int, rng: np.random.Generator) -> tuple[Bytes, Bytes]:
    """`count` images (count, 28, 28), the ten classes equally often and mixed, and labels."""
    labels = rng.permutation(np.arange(count) % 10).astype(np.uint8)
    return np.stack([draw_digit(label, rng) for label in labels]), labels


@pytest.fixture(scope="session")
def small_arrays() -> Arrays:
    """1,200 training and 200 test images of drawn digits, equally many of each class."""
    rng = np.random.default_rng(0)
    return Arrays(*draw_digits(1200, rng), *draw_digits(200, rng))


@pytest.fixture(scope="session")
def small_splits(small_arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A splits file of drawn digits: 600 train, 500 validation, 100 gate, 200 test."""
    path = tmp_path_factory.mktemp("splits") / "splits.npz"
    dataset.write_splits(path, dataset.split(small_arrays, seed=0, validation=500, gate=100))
    return path


@pytest.fixture(scope="session")
def digest(small_splits: Path) -> str:
    """The data digest of `small_splits`."""
    return dataset.splits_digest(small_splits)


def small_spec(digest: str, **changes: object) -> RunSpec:
    """A run of a second, with some of its spec changed."""
    spec = {
        "variant": "baseline",
        "activation": "relu",
        "learning_rate": 0.003,
        "seed": 0,
        "optimizer": "adam",
        "batch_size": 32,
        "epochs": 1,
        "steps_per_epoch": 20,
        "target_accuracy": 0.9,
        "data_digest": digest,
    }
    return RunSpec.model_validate(spec | changes)


@pytest.fixture(scope="session")
def mnist_path() -> Path:
    """The real MNIST: the pipeline's own if it is there, else fetched once into `state/`."""
    data = params.load(ROOT / "params.yaml").data
    cached = ROOT / "state" / "tests" / "mnist.npz"
    cached.parent.mkdir(parents=True, exist_ok=True)
    # Each of pytest's processes asks for it.
    with filelock.FileLock(cached.with_suffix(".lock")):
        for path in (ROOT / "data" / "mnist.npz", cached):
            try:
                check_digests(dataset.read_arrays(path), data.expected_digests)
            except DatasetError:
                continue
            return path
        named = os.environ.get("LR_CEILING_SOURCE")
        sources = [named] if named else data.sources
        dataset.write_arrays(cached, fetch(sources, data.timeout_seconds, data.expected_digests))
        return cached


# Chosen so that its runs serve a retraining of that week and the tutorial's experiment as well.
WEEK = "2026-W48"
SMALL_PIPELINE: dict[str, dict[str, Any]] = {
    "splits": {"validation": 1000, "gate": 1000},
    "grid": {"activations": ["relu"], "learning_rates": [0.003]},
    "training": {"epochs": 1, "steps_per_epoch": 60},
    "train": {"seeds": train_seeds(WEEK, 1)},
    "search": {"seed": search_seed(WEEK), "budget_runs": {"default": 2}, "confirmations": 2},
    "usable": {"runs": 1},
    # A worker takes 5 s to start, and pytest's processes keep the cores busy as it is.
    "workers": {"processes": 1},
}


@pytest.fixture(scope="session")
def small_pipeline(mnist_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project after `dvc repro` on real MNIST and `SMALL_PIPELINE`, with nothing logged.

    It is made once for all of pytest's processes: a test changes a copy of it alone.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / "small-pipeline", shared / "small-pipeline.done"
    with filelock.FileLock(shared / "small-pipeline.lock"):
        if not done.exists():
            lay_out(folder)
            change_params(folder, SMALL_PIPELINE)
            # Where the first stage does everything, TensorFlow is imported once.
            settings = {"LR_CEILING_AHEAD": "all", "LR_CEILING_TRACKING": "off"}
            run_in(folder, "dvc", "repro", **settings, LR_CEILING_SOURCE=str(mnist_path))
            done.touch()
    return folder


def keep_work(pipeline: Path, folder: Path) -> None:
    """Give a project what another one's stages have done: they find it by what makes it."""
    for name in ("runs", "search", "theory"):
        shutil.copytree(pipeline / "state" / name, folder / "state" / name)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A running browser."""
    with started_chromium() as browser:
        yield browser


@pytest.fixture
def watched(chromium: Browser) -> Iterator[Watched]:
    """An empty page of the browser, whose errors and requests are kept."""
    with watched_page(chromium) as page:
        yield page


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, and the Python of an environment that holds it without its extras; made once."""
    base = tmp_path_factory.getbasetemp()
    # pytest-xdist gives each of its processes a folder in a common one.
    common = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    made = common / "installed"
    with filelock.FileLock(common / "installed.lock"):
        if not made.exists():
            folder = common / "installing"
            folder.mkdir()
            python = wheels.install(wheels.build(folder), folder)
            made.write_text(str(python))
    python = Path(made.read_text())
    (wheel,) = (common / "installing" / "dist").iterdir()
    return wheel, python


def small_run(**changes: object) -> RunResult:
    """A result made by hand, with some of it or of its spec changed."""
    of_spec = {name: changes.pop(name) for name in list(changes) if name in RunSpec.model_fields}
    result = {
        "spec": small_spec("0" * 16, **of_spec),
        "label": "stable",
        "called": None,
        "called_at": None,
        "called_stable_at": None,
        "steps": 20,
        "parameters": 93_322,
        "steps_to_95": None,
        "validation_accuracy": 0.95,
        "reestimated_accuracy": None,
        "test_accuracy": 0.94,
        "checks": [Check(step=20, images=500, inference=0.95, training=None)],
        "curve": Curve(steps=(20,), loss=(1.0,), loss_min=(0.5,), loss_max=(2.0,), accuracy=(0.7,)),
    }
    return RunResult.model_validate(result | changes)


def small_study(**changes: object) -> Study:
    """A study's findings made by hand, with some of them changed."""
    estimate = {"estimate": 0.01, "ci95": (0.005, 0.02)}
    found = {
        "variant": "baseline",
        "activation": "relu",
        "optimizer": "adam",
        "target": 0.9,
        "horizon_steps": 20,
        "key": "0123456789abcdef",
        "lr50": estimate,
        "lr90": estimate,
        "usable": small_usable(),
        "surest": small_surest(),
        "as_saved": None,
        "confirmed": None,
        "expected": (1e-4, 1.0),
        "calls": AuditedCalls.of(NO_CALLS),
        "transition_decades": 0.2,
        "bounded": "both",
        "highest_stable": 0.01,
        "stopped": "interval",
        "trials": 2,
        "labels": {"dead": 1, "stable": 1},
        "steps_spent": 25,
        "full_run_equivalents": 1.25,
        "spent": {"edge": 1.25, "confirm": 0.0, "usable": 0.0},
        "early_decisions": {"made": 1, "audited": 0, "wrong": 0},
        "checks": {
            "lr50_exists": 1.0,
            "lr90_exists": 0.95,
            "fit": 0.5,
            "widened": False,
            "edge_mass": (0.0, 0.0),
            "prior_shift_decades": 0.0,
        },
    }
    return Study.model_validate(found | changes)


def small_surest() -> Surest:
    """The learning rate most probably stable, made by hand."""
    probability = Estimate(estimate=0.95, ci95=(0.8, 0.99))
    return Surest(learning_rate=0.004, probability=probability)


def small_usable(**changes: object) -> UsableRate:
    """A usable rate made by hand, with some of it changed."""
    found = {
        "estimate": 0.006,
        "ci95": (0.003, 0.009),
        "exists": 1.0,
        "loss": 0.01,
        "best": {"learning_rate": 0.002, "accuracy": 0.95},
    }
    return UsableRate.model_validate(found | changes)


def small_belief() -> Belief:
    """A posterior made by hand."""
    return Belief(
        learning_rates=(0.001, 0.01, 0.1),
        probability=(0.98, 0.9, 0.02),
        low=(0.9, 0.7, 0.0),
        high=(1.0, 0.97, 0.1),
        lr50=(0.02, 0.03),
        lr90=(0.009, 0.011),
        usable=(0.005, 0.007),
    )


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's schema, made once: the migrations take 2-3 s."""
    root = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(root))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with tracking.open_store():
            pass
    return root / "mlruns" / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with an empty store and the project's params, which is the current one."""
    (tmp_path / "mlruns").mkdir()
    shutil.copy(empty_database, tmp_path / "mlruns")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(
    small_splits: Path, digest: str, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[RunResult, Path]]:
    """Three runs on drawn digits with their models: two learned them, the last one hardly."""
    from lr_ceiling.mnist import engine, training

    # Before anything starts TensorFlow: later it would refuse.
    engine.configure()
    folder = tmp_path_factory.mktemp("trained")
    made = []
    for seed, steps in enumerate((80, 80, 5)):
        path = folder / f"seed-{seed}.keras"
        spec = small_spec(digest, seed=seed, steps_per_epoch=steps)
        made.append((training.fit(spec, small_splits, path), path))
    return made


def put_forward(project: Path, splits: Path, run: RunResult, model: Path) -> None:
    """Lay out what the pipeline leaves for the gate: one cell of one run, valid data, a ceiling."""
    spec = run.spec
    cell = f"{spec.variant}-{spec.activation}-{spec.learning_rate}"
    write_runs(project / "data" / "train" / cell / "runs.json", [run])
    models = project / "data" / "models" / cell
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir(parents=True)
    shutil.copy(model, models / f"seed-{spec.seed}.keras")
    shutil.copy(splits, project / "data" / "splits.npz")
    write_validation(project, success=True)
    write_ceilings(project, arm_of(run, usable=1.0))


def write_validation(project: Path, success: bool) -> None:
    """Write reports/validation.json."""
    report = ValidationReport(
        success=success,
        evaluated=1,
        failed=int(not success),
        counts={"train": 600, "test": 200},
        expectations=(),
    )
    report.write(project / "reports" / "validation.json")


def write_ceilings(project: Path, *arms: ArmCeilings) -> None:
    """Write reports/ceilings.json."""
    CeilingsReport(arms=arms, ratios=()).write(project / "reports" / "ceilings.json")


def arm_of(run: RunResult, usable: float | None = 0.006) -> ArmCeilings:
    """The arm of a run as reports/ceilings.json has it, with lr90 0.01."""
    spec = run.spec
    study = small_study(
        variant=spec.variant,
        activation=spec.activation,
        optimizer=spec.optimizer,
        target=spec.target_accuracy,
        horizon_steps=spec.horizon,
        usable=small_usable(estimate=usable, ci95=(usable and usable / 2, usable and usable * 2)),
    )
    none = {"median": None, "least": None, "most": None, "n": 0}
    nothing = {"estimate": None, "ci95": (None, None)}
    rates = none | {"lr90_over_median": nothing, "lr50_over_median": nothing}
    theory = {"initial": rates, "trained": rates}
    return ArmCeilings.model_validate(study.model_dump() | {"theory": theory})


def small_project(folder: Path, changes: dict[str, dict[str, Any]]) -> Path:
    """A folder with the project's params, small budgets, and `changes` by section."""
    yaml = YAML(typ="safe")
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["training"] |= {"epochs": 2, "steps_per_epoch": 20}
    # A retraining rewrites the project's own.
    params["train"]["seeds"], params["search"]["seed"] = [0, 1, 2, 3], 0
    params["search"]["confirmations"], params["usable"]["runs"] = 2, 1
    # A worker takes 5 s to start, and pytest's processes keep the cores busy as it is.
    params["workers"]["processes"] = 1
    for section, values in changes.items():
        params[section] |= values
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    return folder


def run_command(command: click.Command, folder: Path, *arguments: str, **environment: str) -> str:
    """Run a command of ours in this process, in `folder`; returns what it printed.

    The server that workers are forked from lives as long as this process, so that TensorFlow is
    imported for the first such command alone. Raises SystemExit with what was printed if it fails.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        # The variables that decide where and how much is done are the test's own.
        for name in OUTSIDE:
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(command, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise SystemExit(result.output)
    return result.output


REPORT_OPTIONS = (
    "--train data/train --search data/search --validation reports/validation.json "
    "--theory data/theory --verification reports/verification.json "
    "--claims reports/claims.json --output reports"
)
VARIANTS: tuple[Variant, ...] = ("baseline", "batchnorm")


def write_results(folder: Path) -> Path:
    """A project folder with results made by hand for `report`: relu, two rates, one off the grid.

    Batch norm ends 5 points better; of each search's four trials one is dead.
    """
    small_project(folder, {"grid": {"activations": ["relu"], "learning_rates": [0.01, 1]}})
    for variant, rate in product(VARIANTS, (0.01, 1, 0.5)):
        runs = seeds_of(variant, rate)
        write_runs(folder / f"data/train/{variant}-relu-{rate}/runs.json", runs)
    for variant in VARIANTS:
        arm = folder / "data/search" / f"{variant}-relu"
        dead = small_run(
            variant=variant, learning_rate=0.1, label="dead", called="dead", called_at=15, steps=15,
            curve=small_curve(15),
        )  # fmt: skip
        write_runs(arm / "runs.json", [*seeds_of(variant, 0.01), dead])
        write_json(arm / "study.json", small_study(variant=variant).model_dump())
        write_json(arm / "posterior.json", asdict(small_belief()))
        rates = [0.004, 0.005, 0.006]
        critical: dict[str, dict[str, Any]] = {
            "initial": {"median": 0.005, "least": 0.004, "most": 0.006, "n": 3, "rates": rates},
            "trained": {"median": None, "least": None, "most": None, "n": 0, "rates": []},
        }
        if variant == "batchnorm":
            critical["bias"] = {"logit_difference": 1e-12, "gradient_ratio": 2e-13, "n": 3}
        write_json(folder / "data/theory" / f"{variant}-relu.json", critical)
    findings = {
        "success": True,
        "evaluated": 1,
        "failed": 0,
        "counts": {"train": 60_000, "test": 10_000},
        "expectations": [
            {
                "about": "images",
                "expectation": "expect_table_row_count_to_equal",
                "rows": "all",
                "expected": {"value": 60_000},
                "observed": {"value": 60_000},
                "success": True,
            }
        ],
    }
    write_json(folder / "reports/validation.json", findings)
    write_json(folder / "reports/verification.json", {"conditions": None, "arms": []})
    untested: dict[str, Any] = {"claims": [], "cells": [], "initialisation": []}
    write_json(folder / "reports/claims.json", {"subject": None, **untested})
    return folder


@pytest.fixture(scope="session")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """What was found in a project whose results were made by hand."""
    data = write_results(tmp_path_factory.mktemp("findings")) / "data"
    cells: list[Cell] = [(variant, "relu", rate) for variant in VARIANTS for rate in (0.01, 1)]
    arms: list[Arm] = [(variant, "relu") for variant in VARIANTS]
    return Findings.read(cells, arms, data / "train", data / "search", data / "theory")


def seeds_of(variant: str, rate: float) -> list[RunResult]:
    """Three runs of 20 steps that learn."""
    batchnorm = variant == "batchnorm"
    checks = [
        Check(step=s, images=500, inference=s / 25, training=s / 21 if batchnorm else None)
        for s in (5, 10, 15, 20)
    ]
    return [
        small_run(
            variant=variant, activation="relu", learning_rate=rate, seed=seed, checks=checks,
            test_accuracy=0.9 + 0.01 * seed + 0.05 * batchnorm, curve=small_curve(20),
        )
        for seed in (0, 1, 2)
    ]  # fmt: skip


def small_curve(steps: int) -> Curve:
    """A curve of bins of five steps whose loss falls and whose accuracy rises."""
    bins = range(5, steps + 1, 5)
    return Curve(
        steps=tuple(bins),
        loss=tuple(10 / step for step in bins),
        loss_min=tuple(8 / step for step in bins),
        loss_max=tuple(12 / step for step in bins),
        accuracy=tuple(step / 25 for step in bins),
    )


def make_report(project: Path) -> str:
    """Run the report stage in `project`; returns what it printed."""
    return run_command(report.main, project, *REPORT_OPTIONS.split())


def make_report_elsewhere(project: Path) -> None:
    """The same in a process of its own, which orders its sets in another way."""
    command = [sys.executable, "-m", report.__name__, *REPORT_OPTIONS.split()]
    subprocess.run(command, cwd=project, check=True, stdout=subprocess.DEVNULL)


def children_of(process: int) -> set[int]:
    """The processes that a process started."""
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


def is_alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits for its parent does not."""
    try:
        return " Z " not in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def in_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; in a thread, since the tests' browser has a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()
