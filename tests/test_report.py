"""The report stage, on results made by hand: exactly the cells in params, and the same bytes."""

import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from conftest import small_belief, small_project, small_run, small_study
from lr_ceiling.runs import RunResult, read_json, write_json, write_runs
from lr_ceiling.stages.report import median_steps, percent

VARIANTS = ("baseline", "batchnorm")


def runs_of(variant: str, rate: float) -> list[RunResult]:
    return [
        small_run(
            variant=variant, activation="relu", learning_rate=rate, seed=seed,
            test_accuracy=0.9 + 0.01 * seed + 0.05 * (variant == "batchnorm"),
        )
        for seed in (0, 1, 2)
    ]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    small_project(tmp_path, {"grid": {"activations": ["relu"], "learning_rates": [0.01, 1]}})
    for variant, rate in product(VARIANTS, (0.01, 1, 0.5)):
        runs = runs_of(variant, rate)
        write_runs(tmp_path / f"data/train/{variant}-relu-{rate}/runs.json", runs)
    for variant in VARIANTS:
        arm = tmp_path / "data/search" / f"{variant}-relu"
        runs = [*runs_of(variant, 0.01), small_run(variant=variant, label="dead")]
        write_runs(arm / "runs.json", runs)
        write_json(arm / "study.json", small_study(variant=variant).model_dump())
        write_json(arm / "posterior.json", small_belief().model_dump())
    findings = {"evaluated": 22, "failed": 0, "counts": {"train": 60_000, "test": 10_000}}
    write_json(tmp_path / "reports/validation.json", findings)
    return tmp_path


def report(project: Path) -> str:
    options = "--train data/train --search data/search --validation reports/validation.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lr_ceiling.stages.report"),
            *(*options.split(), "--output", "reports"),
        ],
        cwd=project,
        env=os.environ | {"COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def contents(project: Path) -> dict[str, bytes]:
    files = (path for path in (project / "reports").rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def test_the_report_holds_the_cells_of_the_params_and_nothing_of_others(project: Path) -> None:
    printed = report(project)
    assert "baseline relu 0.01" in printed
    comparison = read_json(project / "reports/comparison.json")
    assert [(cell["variant"], cell["learning_rate"]) for cell in comparison["cells"]] == [
        ("baseline", 0.01), ("baseline", 1), ("batchnorm", 0.01), ("batchnorm", 1),
    ]  # fmt: skip
    assert [claim["estimate"] for claim in comparison["claims"]] == pytest.approx([0.05, 0.05])
    assert {claim["verdict"] for claim in comparison["claims"]} == {"supported"}
    ceilings = read_json(project / "reports/ceilings.json")
    assert [arm["lr90"]["estimate"] for arm in ceilings["arms"]] == [0.01, 0.01]
    assert [ratio["activation"] for ratio in ceilings["ratios"]] == ["relu"]
    left = {path.name for path in (project / "data/train").iterdir()}
    assert left == {f"{variant}-relu-{rate}" for variant, rate in product(VARIANTS, (0.01, 1))}
    written = contents(project)
    # 0.05 may stand in the text for other reasons: a cell's name may not.
    assert not any("relu-0.5" in name or b"relu 0.5" in text for name, text in written.items())
    table = pd.read_csv(project / "reports/plots/relu-0.01.csv")
    assert list(table.columns) == ["step", "baseline", "batchnorm"]


def test_the_same_results_give_the_same_bytes(project: Path) -> None:
    report(project)
    first = contents(project)
    for name in ("figures", "plots", "index.html"):
        path = project / "reports" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    report(project)
    assert contents(project) == first


def test_the_page_needs_no_other_file_or_host(project: Path) -> None:
    report(project)
    page = (project / "reports/index.html").read_text()
    assert page.count("<svg") == 5
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page.replace('xlink:href="#', ""))


def test_median_steps_takes_never_for_later_than_any() -> None:
    assert median_steps([300, None, 100]) == "300"
    assert median_steps([None, None, 100]) == "never"
    assert median_steps([1000, 3000]) == "3,000"


def test_percent_has_its_spread() -> None:
    assert percent({"mean": 0.98765, "std": 0.001}) == "98.77 ± 0.10"
    assert percent({"mean": 0.5, "std": None}) == "50.00"
    assert percent({"mean": None, "std": None}) == "-"
