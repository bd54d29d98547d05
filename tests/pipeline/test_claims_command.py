"""`lr-ceiling claims`: what it runs, in parts, and never twice."""

import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import small_project, small_run
from lr_ceiling.evidence import more_runs
from lr_ceiling.evidence.claims import subject_of, viability
from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist.results import RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline.commands import claims
from lr_ceiling.pipeline.params import load
from lr_ceiling.report.schemas import ClaimsReport
from stand_in import StandIn

PARTS = ("claims", "cells", "initialisation")
GRID = {"activations": ["relu"], "learning_rates": [0.001, 0.01]}


def oracle(task: TrainingTask) -> RunResult:
    """Batch norm learns at any scale from 1/1000 to 1000, the baseline from 1/10 to 10."""
    spec = task.spec
    luck = random.Random(spec.seed).uniform(0.8, 1.25)
    most = 1000 if spec.variant == "batchnorm" else 10
    stable = 1 / most < spec.init_scale * luck < most
    return small_run(
        **spec.model_dump(),
        label="stable" if stable else "slow",
        steps=spec.horizon,
        steps_to_95=100 if spec.variant == "batchnorm" else 200,
        test_accuracy=0.9 + 0.0001 * luck if task.test else None,
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(small_project(tmp_path, {"grid": GRID, "train": {"seeds": [3, 1]}}))
    return tmp_path


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    runner = StandIn(oracle)
    monkeypatch.setattr(claims, "workers", runner.started)
    return runner


def call(splits: Path, state: str = "state/runs") -> tuple[int, str]:
    command = [str(splits), "--train", "data/train", "--output", "reports/claims.json"]
    shown = CliRunner().invoke(claims.main, [*command, "--state", state])
    return shown.exit_code, shown.stderr


def test_all_parts_are_written_and_no_run_is_trained_twice(
    project: Path, small_splits: Path, digest: str, runner: StandIn
) -> None:
    """Seeds of the grid are taken from data/train; interrupted or not, the bytes are the same."""
    template = RunSpec.of(
        load().training, variant="baseline", activation="relu", learning_rate=0.001, seed=3,
        data_digest=digest,
    )  # fmt: skip
    held = oracle(TrainingTask(template, small_splits, test=True))
    write_runs(project / "data/train/baseline-relu-0.001/runs.json", [held])
    parts = set()
    for lives in (0, 1, 30, 40, 45, 3):
        runner.lives = lives
        code, _ = call(small_splits)
        assert code == 1
        if (project / "reports/claims.json").exists():
            report = read_json(project / "reports/claims.json")
            parts.add(tuple(part for part in PARTS if report[part]))
    runner.lives = 10**9
    assert call(small_splits) == (0, "")
    assert parts == {(), ("claims",), ("claims", "cells")}
    written = (project / "reports/claims.json").read_bytes()
    specs = [task.spec for task in runner.ran]
    assert len(set(specs)) == len(specs)
    assert template not in specs
    # 4 cells of 12 seeds, 16 more cells of 4, 4 searches of 8; one run was there.
    assert len(specs) == 48 + 64 + 32 - 1
    assert {task.test for task in runner.ran if task.spec.activation == "tanh"} == {False}
    assert all(task.test for task in runner.ran[:47])

    found = read_json(project / "reports/claims.json")
    assert found["subject"] == subject_of(held.spec, load().grid)
    assert [claim["id"] for claim in found["claims"]] == [
        "more-accurate-relu-0.001", "more-accurate-relu-0.01", "faster-relu-0.001",
        "faster-relu-0.01", "faster-at-best-relu", "better-results-relu", "more-activations",
        "easier-initialisation-relu",
    ]  # fmt: skip
    by_id = {claim["id"]: claim for claim in found["claims"]}
    for name in ("faster-relu-0.001", "faster-relu-0.01"):
        assert (by_id[name]["n"], by_id[name]["verdict"]) == (12, "supported")
    assert by_id["more-accurate-relu-0.01"]["n"] == 12
    assert [len(cell["seeds"]) for cell in found["grid"]] == [12] * 4
    assert by_id["more-activations"]["estimate"] == 0
    easier = by_id["easier-initialisation-relu"]
    assert easier["verdict"] == "supported"
    assert easier["n"] == 2 * (12 + 2 * 8)
    assert easier["ci95"][0] > 1
    widths = [arm["width_decades"] for arm in found["initialisation"]]
    # P(stable) is 0.9 where the luck of nine in ten, uniform in 0.8 to 1.25, leaves a scale inside.
    for width, truth in zip(widths, (1.83, 5.83), strict=True):
        assert width["ci95"][0] < truth < width["ci95"][1]

    runner.ran.clear()
    assert call(small_splits) == (0, "")
    assert not runner.ran
    assert (project / "reports/claims.json").read_bytes() == written


def test_claims_go_on_in_another_clone_and_keep_what_was_known(
    project: Path, small_splits: Path, runner: StandIn
) -> None:
    path = project / "reports/claims.json"
    runner.lives = 70
    assert call(small_splits, "state/here")[0] == 1
    half = ClaimsReport.read(path)
    assert [len(table.runs) for table in half.runs] == [70]
    # What an earlier format told of all parts, without its runs.
    known = viability([small_run()])
    claim = half.claims[0].model_copy(update={"id": "more-activations", "n": 7})
    half.model_copy(update={"claims": (*half.claims, claim), "cells": (known,)}).write(path)
    assert call(small_splits, "state/there")[0] == 1
    resumed = ClaimsReport.read(path)
    assert (resumed.claims[-1], resumed.cells) == (claim, (known,))
    runner.lives = 10**9
    assert call(small_splits, "state/there") == (0, "")
    assert len({task.spec for task in runner.ran}) == len(runner.ran) == 48 + 64 + 32
    first = path.read_bytes()
    path.unlink()
    assert call(small_splits, "state/whole") == (0, "")
    assert path.read_bytes() == first


def test_real_runs(
    project: Path, small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project(tmp_path, {"grid": GRID | {"learning_rates": [0.001]}, "train": {"seeds": [0]}})
    monkeypatch.setattr(more_runs, "SEEDS", 2)
    monkeypatch.setattr(more_runs, "VIABLE_SEEDS", 1)
    monkeypatch.setattr(more_runs, "ACTIVATIONS", ("softsign",))
    monkeypatch.setattr(more_runs, "RATES", (0.001,))
    for module in ("initialisation", "more_runs"):
        monkeypatch.setattr(f"lr_ceiling.evidence.{module}.BUDGET", 1.0)
    assert call(small_splits) == (0, "")
    found = read_json(project / "reports/claims.json")
    assert [cell["activation"] for cell in found["cells"]] == ["softsign"] * 2
    assert [arm["runs"] for arm in found["initialisation"]] == [4, 4]
    better = next(one for one in found["claims"] if one["id"] == "better-results-relu")
    assert better["n"] == 2


def test_what_is_missing_is_told_in_one_line(project: Path) -> None:
    code, said = call(Path("none.npz"))
    assert (code, said.count("\n")) == (1, 1)
    assert "none.npz" in said
