"""`lr-ceiling verify`, on drawn digits and on outcomes made by hand."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conftest import ROOT, VARIANTS, small_project, small_run, small_spec, small_study
from lr_ceiling.evidence import fresh_seeds, range_tests
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.fresh_seeds import Suggestion
from lr_ceiling.execution.files import write_json
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, write_runs
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.commands import verify
from lr_ceiling.pipeline.params import load
from lr_ceiling.report.schemas import AuditReport, VerificationReport
from stand_in import StandIn

OPTIONS = (
    *("--search", "data/search", "--audit", "audit.json"),
    *("--output", "verification.json", "--state", "state/runs"),
)


def oracle(task: TrainingTask) -> RunResult:
    """Stable below 0.01."""
    label = "stable" if task.spec.learning_rate < 0.01 else "dead"
    return small_run(**task.spec.model_dump(), label=label)


@pytest.fixture
def project(small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which both arms of relu were searched, with outcomes made by hand."""
    monkeypatch.chdir(small_project(tmp_path, {"training": {"steps_per_epoch": 10, "epochs": 1}}))
    values = load()
    AuditReport(horizon_steps=10, rules=()).write(tmp_path / "audit.json")
    trials = [small_run(learning_rate=0.001), small_run(learning_rate=0.1, label="dead")]
    for variant in VARIANTS:
        digest = splits_digest(small_splits)
        key = trials_of(values, variant, "relu", (), small_splits, digest).aim.key
        folder = tmp_path / f"data/search/{variant}-relu"
        write_runs(folder / "runs.json", trials)
        write_json(folder / "study.json", small_study(variant=variant, key=key).model_dump())
    return tmp_path


def test_the_command_verifies_every_arm(
    small_splits: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(project / "data/search/batchnorm-relu")
    monkeypatch.setattr(fresh_seeds, "SEEDS", 2)
    monkeypatch.setattr(fresh_seeds, "FINDER_SEEDS", 1)
    short = tuple(replace(finder, steps=50) for finder in range_tests.FINDERS)
    monkeypatch.setattr(range_tests, "FINDERS", short)
    shown = verify_project(small_splits)
    assert shown.exit_code == 0, shown.output
    path = project / "verification.json"
    report = VerificationReport.read(path)
    training = load().training
    spec = small_spec(splits_digest(small_splits), **training.model_dump())
    assert report.conditions == conditions_of(spec)
    (found,) = report.arms
    assert (found.variant, found.activation) == ("baseline", "relu")
    assert [point.at for point in found.points] == ["usable", "lr90 low", "lr90", "lr50"]
    assert {point.seeds for point in found.points} == {2}
    assert [one.name for one in found.finders] == [
        "fastai suggestion", "fastai edge", "keras suggestion", "keras edge",
    ]  # fmt: skip
    assert all(0 <= one.stable <= one.seeds == 1 for one in found.finders)
    (table,) = report.runs
    assert len(table.runs) == 4 * 2 + 4
    # In another clone, nothing is run again; in a process of its own, since this one's TensorFlow
    # may have been set before.
    first = path.read_bytes()
    shutil.rmtree(project / "state")
    code = (
        "import sys; from dataclasses import replace; "
        "from lr_ceiling.evidence import fresh_seeds as fresh, range_tests as tests; "
        "fresh.SEEDS, fresh.FINDER_SEEDS = 2, 1; "
        "tests.FINDERS = tuple(replace(finder, steps=50) for finder in tests.FINDERS); "
        "from lr_ceiling.pipeline.commands import verify; verify.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(small_splits), *OPTIONS]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == first
    assert not (project / "state/runs").exists()


def verify_project(splits: Path) -> Result:
    return CliRunner().invoke(verify.main, [str(splits), *OPTIONS])


def test_a_verification_that_was_stopped_goes_on_in_another_clone(
    small_splits: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = StandIn(oracle, lives=95)
    monkeypatch.setattr(verify, "workers", runner.started)
    monkeypatch.setattr("lr_ceiling.mnist.engine.configure", lambda: None)
    read_off = [Suggestion("fastai edge", 10.0, False), Suggestion("keras edge", 0.001, True)]
    monkeypatch.setattr(
        "lr_ceiling.evidence.range_tests.suggestions", lambda template, splits: read_off
    )
    assert verify_project(small_splits).exit_code == 1
    path = project / "verification.json"
    half = VerificationReport.read(path)
    assert [(arm.variant, len(arm.points), arm.finders) for arm in half.arms] == [
        ("baseline", 4, ())
    ]
    assert [len(table.runs) for table in half.runs] == [95]
    shutil.rmtree(project / "state")
    runner.lives = 10**9
    assert verify_project(small_splits).exit_code == 0
    assert len(runner.ran) == 2 * (4 * 20 + 2 * 5)
    first = path.read_bytes()
    path.unlink()
    shutil.rmtree(project / "state")
    assert verify_project(small_splits).exit_code == 0
    assert path.read_bytes() == first
    # Points of which no run is known any more count as well.
    report = VerificationReport.read(path)
    report.model_copy(update={"runs": ()}).write(path)
    shutil.rmtree(project / "state")
    runner.lives = 0
    assert verify_project(small_splits).exit_code == 0
    assert VerificationReport.read(path) == report.model_copy(update={"runs": ()})


def test_searches_of_other_params_are_not_verified(small_splits: Path, project: Path) -> None:
    small_project(project, {"training": {"steps_per_epoch": 20, "epochs": 1}})
    shown = verify_project(small_splits)
    assert shown.exit_code == 1
    assert "data/search/baseline-relu is of other params, data or audit" in shown.stderr
    assert not (project / "verification.json").exists()


@pytest.mark.parametrize(
    ("audit", "told"),
    [
        (Path("none.json"), "none.json is missing"),
        (ROOT / "reports" / "audit.json", "error: x holds no search: run `dvc repro`"),
    ],
)
def test_what_is_missing_is_told_in_one_line(
    audit: Path, told: str, small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_project(tmp_path, {}))
    command = [str(small_splits), "--search", "x", "--audit", str(audit)]
    shown = CliRunner().invoke(verify.main, [*command, "--output", "y", "--state", "z"])
    assert shown.exit_code == 1
    assert told in shown.stderr
    assert not Path("y").exists()
