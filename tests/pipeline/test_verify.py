"""Verification by fresh seeds, on drawn digits and on a posterior made by hand."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conftest import ROOT, VARIANTS, small_project, small_run, small_spec, small_study
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.records import Audit
from lr_ceiling.evidence.study import calls_of, make_plan
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline.commands import verify
from lr_ceiling.pipeline.params import load
from lr_ceiling.search.ceiling import Estimate
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves

POSTERIOR = Posterior(
    curves(Range(-4, 0, -6, 2)),
    [Observation(u, stable=u < -2) for u in np.linspace(-3, -1, 30)],
)
TEMPLATE = small_spec("d")
OPTIONS = (
    *("--search", "data/search", "--audit", "audit.json"),
    *("--output", "verification.json", "--state", "state/runs"),
)


def run(specs: "list[RunSpec]") -> list[RunResult]:
    """Stable below 0.01."""
    return [
        small_run(**spec.model_dump(), label="stable" if spec.learning_rate < 0.01 else "dead")
        for spec in specs
    ]


def test_points_are_the_ceilings_that_are_known() -> None:
    study = small_study(
        lr90=Estimate(estimate=None, ci95=(0.005, None)), lr50=Estimate(estimate=0.02, ci95=(0, 1))
    )
    low, high = verify.verify_points(study, POSTERIOR, TEMPLATE, run)  # type: ignore[arg-type]
    assert (low["at"], low["learning_rate"]) == ("lr90 low", 0.005)
    assert (low["stable"], low["seeds"]) == (20, 20)
    assert (high["at"], high["stable"], high["right"]) == ("lr50", 0, True)


@pytest.mark.parametrize(("rate", "low", "high"), [(1e-3, 15, 20), (1e-1, 0, 5)])
def test_what_is_predicted_is_an_interval_of_counts(rate: float, low: int, high: int) -> None:
    least, most = verify.predicted(POSTERIOR, rate, 20)
    assert low <= least <= most <= high


def test_at_the_lower_limit_four_in_five_must_be_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    study = small_study(lr90=Estimate(estimate=0.005, ci95=(0.005, None)))
    monkeypatch.setattr(verify, "predicted", lambda *_: (10, 20))
    for stable, right in ((15, False), (16, True)):
        monkeypatch.setattr(verify, "count_stable", lambda *_, stable=stable: stable)
        low, middle, _ = verify.verify_points(study, POSTERIOR, TEMPLATE, run)  # type: ignore[arg-type]
        assert (low["right"], middle["right"]) == (right, True)


def test_where_no_trial_may_go_nothing_is_said() -> None:
    assert verify.probability(POSTERIOR, 1e-7) is None
    assert verify.probability(POSTERIOR, 1e3) is None
    assert (verify.probability(POSTERIOR, 1e-3) or 0) > 0.9


def test_near_the_edge_little_is_predicted() -> None:
    least, most = verify.predicted(POSTERIOR, 1e-2, 20)
    assert most - least > 10


def test_fresh_seeds_are_fresh() -> None:
    seen: list[RunSpec] = []

    def kept(specs: "list[RunSpec]") -> list[RunResult]:
        seen.extend(specs)
        return run(specs)

    for name in ("lr90", "lr50"):
        assert verify.count_stable("key", name, 0.001, 5, TEMPLATE, kept) == 5  # type: ignore[arg-type]
    assert len({spec.seed for spec in seen}) == 10
    assert {spec.ended_by for spec in seen} == {()}


@pytest.fixture
def project(small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which both arms of relu were searched, with outcomes made by hand."""
    monkeypatch.chdir(small_project(tmp_path, {"training": {"steps_per_epoch": 10, "epochs": 1}}))
    values, audit = load(), Audit(horizon_steps=10, rules=())
    write_json(tmp_path / "audit.json", audit.model_dump())
    trials = [small_run(learning_rate=0.001), small_run(learning_rate=0.1, label="dead")]
    for variant in VARIANTS:
        template = RunSpec.of(
            values.training,
            variant=variant,
            activation="relu",
            learning_rate=values.search.range[variant].low,
            seed=values.search.seed,
            data_digest=splits_digest(small_splits),
        )
        key = make_plan(template, values.search, calls_of(audit)).aim.key
        folder = tmp_path / f"data/search/{variant}-relu"
        write_runs(folder / "runs.json", trials)
        write_json(folder / "study.json", small_study(variant=variant, key=key).model_dump())
    return tmp_path


def test_the_command_verifies_every_arm(small_splits: Path, project: Path) -> None:
    shutil.rmtree(project / "data/search/batchnorm-relu")
    # In a process of its own: TensorFlow's threads are set before it is imported.
    code = (
        "import sys; from lr_ceiling.commands import verify; "
        "verify.SEEDS, verify.FINDER_SEEDS = 2, 1; verify.main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, str(small_splits), *OPTIONS]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = read_json(project / "verification.json")
    training = load().training
    spec = small_spec(splits_digest(small_splits), **training.model_dump())
    assert report["conditions"] == conditions_of(spec)
    (found,) = report["arms"]
    assert (found["variant"], found["activation"]) == ("baseline", "relu")
    assert [point["at"] for point in found["points"]] == ["lr90 low", "lr90", "lr50"]
    assert {point["seeds"] for point in found["points"]} == {2}
    assert [one["name"] for one in found["finders"]] == [
        "fastai suggestion", "fastai edge", "keras suggestion", "keras edge",
    ]  # fmt: skip
    assert all(0 <= one["stable"] <= one["seeds"] == 1 for one in found["finders"])
    assert {one["stopped"] for one in found["finders"]} <= {True, False}


def verify_project(splits: Path) -> Result:
    return CliRunner().invoke(verify.main, [str(splits), *OPTIONS])


def test_every_arm_is_verified_before_any_range_test(
    small_splits: Path, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "run_all", lambda specs, *_: run(specs))
    monkeypatch.setattr(verify, "verify_finders", stopped)
    monkeypatch.setattr("lr_ceiling.mnist.engine.configure", lambda: None)
    assert verify_project(small_splits).exit_code != 0
    arms = read_json(project / "verification.json")["arms"]
    assert [(arm["variant"], len(arm["points"]), arm["finders"]) for arm in arms] == [
        ("baseline", 3, []), ("batchnorm", 3, []),
    ]  # fmt: skip


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
