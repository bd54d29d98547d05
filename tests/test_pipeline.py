"""The whole pipeline on real MNIST and small budgets: DVC, Great Expectations, Optuna, MLflow."""

import itertools
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import SMALL_PIPELINE
from lr_ceiling.pipeline.integrity.outputs import check_cache, check_outputs
from lr_ceiling.pipeline.integrity.results import check_runs
from lr_ceiling.pipeline.integrity.state import check_journals, check_kept_runs
from smoke import change_params, run

SEARCHES = {"search@baseline-relu", "search@batchnorm-relu"}
TRAININGS = {"train@baseline-relu-0.003", "train@batchnorm-relu-0.003"}
THEORIES = {"theory@baseline-relu", "theory@batchnorm-relu"}
NEW_CELLS = {"train@baseline-relu-0.1", "train@batchnorm-relu-0.1"}
OTHER_RANGE = {
    "baseline": {"low": 1e-5, "high": 1.0},
    "batchnorm": {"low": 1e-3, "high": 1e3},
}


# One process for all dry runs, since DVC takes a second to start.
DRY_RUNS = """
import sys
from dvc.cli import main

for _ in sys.stdin:
    assert main(["repro", "--dry"]) == 0
    print("END", flush=True)
"""


@pytest.fixture(scope="module")
def project(small_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project after `dvc repro` on small budgets; tracking is left to `lr-ceiling log`."""
    return shutil.copytree(small_pipeline, tmp_path_factory.mktemp("pipeline") / "project")


@pytest.fixture
def declared(project: Path, tmp_path: Path) -> Path:
    """A copy of the project without what DVC doesn't know of: kept work, and MLflow's store."""
    undeclared = shutil.ignore_patterns("state", "mlruns")
    return shutil.copytree(project, tmp_path / "project", ignore=undeclared)


@pytest.fixture(scope="module")
def would_run(project: Path) -> Iterator[Callable[[], set[str]]]:
    """Tells which stages a change makes DVC run, without those after them."""
    with subprocess.Popen(
        [sys.executable, "-c", DRY_RUNS],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        asked, answers = process.stdin, process.stdout
        assert asked
        assert answers

        def ask() -> set[str]:
            print(file=asked, flush=True)
            lines = list(itertools.takewhile(lambda line: not line.startswith("END"), answers))
            assert process.poll() is None
            return set(re.findall(r"Running stage '(.+)'", "".join(lines)))

        yield ask


def test_all_that_dvc_and_the_stages_keep_is_sound(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    for check in (check_outputs, check_cache, check_runs, check_kept_runs, check_journals):
        part = check()
        assert part.seen
        assert part.faults == []


def test_every_declared_file_is_there_and_json_has_no_nan(project: Path) -> None:
    for name in ("validation", "comparison", "ceilings", "metrics"):
        json.loads((project / "reports" / f"{name}.json").read_text(), parse_constant=pytest.fail)
    assert (project / "reports/data_docs/index.html").exists()
    drawn = {path.stem for path in (project / "reports/figures").glob("*.svg")}
    assert drawn >= {"ceilings", "probability", "trials", "curves-relu-0.003", "modes"}
    assert json.loads((project / "reports/validation.json").read_text())["success"]


def test_again_nothing_runs_and_nothing_undeclared_is_read(declared: Path) -> None:
    assert "Data and pipelines are up to date" in run(declared, "dvc", "repro")


def test_metrics_and_plots_are_shown(project: Path) -> None:
    metrics = json.loads(run(project, "dvc", "metrics", "show", "--json"))
    (values,) = (entry["data"] for entry in metrics[""]["data"].values())
    assert set(values["cells"]) == {"baseline-relu-0.003", "batchnorm-relu-0.003"}
    assert set(values["arms"]) == {"baseline-relu", "batchnorm-relu"}
    # DVC leaves nulls out, and so few trials may bound nothing.
    assert set(values.get("ratios", {"relu"})) == {"relu"}
    assert set(values["claims"]) >= {"more-accurate-relu-0.003"}
    run(project, "dvc", "plots", "show", "--out", "plots")
    page = (project / "plots" / "index.html").read_text()
    for column in ("baseline", "batchnorm", "log10_learning_rate", "validation_accuracy"):
        assert column in page


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"grid": {"learning_rates": [0.003, 0.1]}}, NEW_CELLS | {"report"}),
        ({"train": {"seeds": [7]}}, TRAININGS | THEORIES),
        ({"search": {"seed": 7}}, SEARCHES),
        ({"search": {"range": OTHER_RANGE}}, {"search@baseline-relu"}),
        ({"training": {"batch_size": 16}}, SEARCHES | TRAININGS | THEORIES),
        ({"splits": {"seed": 7}}, {"validate"}),
        ({"data": {"timeout_seconds": 7.0}}, {"fetch"}),
        ({"workers": {"processes": 2}}, set()),
    ],
    ids=["learning rate", "seeds", "search", "range", "training", "splits", "data", "workers"],
)  # fmt: skip
def test_a_change_of_params_runs_what_depends_on_it(
    changes: dict[str, dict[str, object]],
    expected: set[str],
    project: Path,
    would_run: Callable[[], set[str]],
) -> None:
    kept = (project / "params.yaml").read_text()
    try:
        change_params(project, changes)
        assert would_run() == expected
    finally:
        (project / "params.yaml").write_text(kept)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("mnist/training", SEARCHES | TRAININGS | THEORIES | {"report"}),
        ("search/posterior", SEARCHES | {"report"}),
        ("evidence/claims", {"report"}),
        ("pipeline/stages/validate", {"validate"}),
        ("report/figures", {"report"}),
        ("tracking/store", set()),
        ("pipeline/ahead", set()),
        ("pipeline/terminal", set()),
    ],
)
def test_a_change_of_code_runs_what_imports_it(
    module: str, expected: set[str], project: Path, would_run: Callable[[], set[str]]
) -> None:
    path = project / "src" / "lr_ceiling" / f"{module}.py"
    kept = path.read_text()
    try:
        path.write_text(kept + "\n# changed\n")
        assert would_run() == expected
    finally:
        path.write_text(kept)


def test_impossible_params_stop_the_pipeline_before_any_work(project: Path) -> None:
    kept = (project / "params.yaml").read_text()
    try:
        change_params(project, {"train": {"seeds": []}})
        with pytest.raises(SystemExit, match=r"error: params\.yaml: train\.seeds is \[\]"):
            run(project, "dvc", "repro", "train@baseline-relu-0.003")
    finally:
        (project / "params.yaml").write_text(kept)
        run(project, "dvc", "checkout")


def test_log_makes_mlflow_anew_from_the_results(declared: Path) -> None:
    first = run(declared, "lr-ceiling", "log")
    assert "train baseline-relu-0.003: 1 logged, 0 there already" in first
    assert "search batchnorm-relu: " in first
    again = run(declared, "lr-ceiling", "log")
    assert again == "MLflow holds all of it already\n"
    with sqlite3.connect(declared / "mlruns" / "mlflow.db") as database:
        names = database.execute("SELECT value FROM tags WHERE key = 'mlflow.runName'").fetchall()
    (seed,) = SMALL_PIPELINE["train"]["seeds"]
    assert (f"batchnorm seed={seed} relu lr=0.003",) in names
