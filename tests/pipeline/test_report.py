"""The report stage, on results made by hand: exactly the cells in params, and the same bytes."""

import shutil
from itertools import product
from pathlib import Path

import pandas as pd
import pytest

from conftest import (
    VARIANTS,
    make_report,
    make_report_elsewhere,
    small_study,
    write_results,
)
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.execution.provenance import write_facts
from lr_ceiling.mnist.results import read_runs


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A project with a report, and what was printed when it was made."""
    project = write_results(tmp_path_factory.mktemp("reported"))
    return project, make_report(project)


@pytest.fixture
def project(reported: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of that project."""
    return shutil.copytree(reported[0], tmp_path / "project")


def contents(project: Path) -> dict[str, bytes]:
    files = (path for path in (project / "reports").rglob("*") if path.is_file())
    return {str(path.relative_to(project)): path.read_bytes() for path in files}


def test_the_report_holds_the_cells_of_the_params_and_nothing_of_others(tmp_path: Path) -> None:
    project = write_results(tmp_path)
    other = project / "data/theory/baseline-tanh.json"
    other.write_text("{}")
    printed = make_report(project)
    assert "baseline relu 0.01" in printed
    assert not other.exists()
    comparison = read_json(project / "reports/comparison.json")
    assert [(cell["variant"], cell["learning_rate"]) for cell in comparison["cells"]] == [
        ("baseline", 0.01), ("baseline", 1), ("batchnorm", 0.01), ("batchnorm", 1),
    ]  # fmt: skip
    paired = [one for one in comparison["claims"] if one["id"].startswith("more-accurate")]
    assert [claim["estimate"] for claim in paired] == pytest.approx([0.05, 0.05])
    assert {claim["verdict"] for claim in paired} == {"supported"}
    assert [one["id"] for one in comparison["claims"][len(paired) :]] == [
        "faster-relu-0.01", "faster-relu-1", "faster-at-best-relu", "better-results-relu",
        "higher-learning-rate-relu",
        "bias-unnecessary-relu",
    ]  # fmt: skip
    ceilings = read_json(project / "reports/ceilings.json")
    assert [arm["lr90"]["estimate"] for arm in ceilings["arms"]] == [0.01, 0.01]
    assert [ratio["activation"] for ratio in ceilings["ratios"]] == ["relu"]
    assert [one["n"] for one in comparison["claims"] if one["id"].startswith("higher")] == [8]
    left = {path.name for path in (project / "data/train").iterdir()}
    assert left == {f"{variant}-relu-{rate}" for variant, rate in product(VARIANTS, (0.01, 1))}
    written = contents(project)
    # 0.05 may stand in the text for other reasons: a cell's name may not.
    assert not any("relu-0.5" in name or b"relu 0.5" in text for name, text in written.items())


def test_a_ceiling_is_held_against_theory_with_its_interval(project: Path) -> None:
    at_least = {"estimate": None, "ci95": (0.01, None)}
    study = small_study(lr90=at_least).model_dump()
    write_json(project / "data/search/baseline-relu/study.json", study)
    path = project / "data/search/baseline-relu/posterior.json"
    write_json(path, {**read_json(path), "lr90": []})
    make_report(project)
    theory = read_json(project / "reports/ceilings.json")["arms"][0]["theory"]
    initial = theory["initial"]
    assert [initial[name] for name in ("median", "least", "most", "n")] == [0.005, 0.004, 0.006, 3]
    low, high = initial["typical"]["ci95"]
    assert low < 0.004 < 0.006 < high
    # At least the ceiling's lower limit over the upper one of the median.
    at_least, at_most = initial["lr90_over_median"]["ci95"]
    assert at_least == pytest.approx(0.01 / high, rel=0.01)
    assert (initial["lr90_over_median"]["estimate"], at_most) == (None, None)
    assert initial["lr50_over_median"]["ci95"][0] < 0.02 / 0.006
    assert theory["trained"]["lr50_over_median"] == {"estimate": None, "ci95": [None, None]}


def test_a_wrong_early_call_is_told(reported: tuple[Path, str], project: Path) -> None:
    assert "early calls" not in reported[1]
    study = small_study(early_decisions={"made": 5, "audited": 3, "wrong": 1}).model_dump()
    write_json(project / "data/search/baseline-relu/study.json", study)
    printed = " ".join(make_report(project).split())
    assert (
        "warning: baseline relu: 1 of 3 early calls of failure that were not followed were wrong"
        in printed
    )


def test_dvc_gets_the_same_story(project: Path) -> None:
    found = read_json(project / "reports/metrics.json")
    assert set(found) == {"format", "cells", "arms", "ratios", "claims"}
    ceilings = read_json(project / "reports/ceilings.json")
    (ratio,) = ceilings["ratios"]
    assert found["ratios"]["relu"]["lr90"] == ratio["lr90"]["estimate"]
    assert found["claims"]["more-accurate-relu-0.01"] == pytest.approx(0.05)
    assert None not in found["claims"].values()
    plots = project / "reports/plots"
    curves = pd.read_csv(plots / "curves/relu-0.01.csv")
    assert list(curves.columns) == ["step", "baseline", "batchnorm"]
    band = pd.read_csv(plots / "probability/batchnorm-relu.csv")
    assert list(band["log10_learning_rate"]) == [-3, -2, -1]
    assert (band["low"] <= band["probability"]).all()
    trials = pd.read_csv(plots / "trials/baseline-relu.csv")
    assert sorted(trials["label"].unique()) == ["dead", "stable"]


def test_times_and_machine_are_on_an_undeclared_copy_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = contents(project)
    monkeypatch.chdir(project)
    (run, *_) = read_runs(project / "data/train/baseline-relu-0.01/runs.json")
    write_facts(run.spec.key, started=0.0, seconds=7200.0)
    make_report(project)
    assert contents(project) == hashed
    assert "1970-01-01" not in (project / "reports/index.html").read_text()
    copy = (project / "state/report.html").read_text()
    assert "from 1970-01-01 00:00 UTC, in" in copy


def test_the_same_results_give_the_same_bytes(project: Path) -> None:
    first = contents(project)
    for name in ("figures", "plots", "index.html"):
        path = project / "reports" / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    make_report_elsewhere(project)
    assert contents(project) == first
