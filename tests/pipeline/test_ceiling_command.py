"""`lr-ceiling ceiling`: the answer, honest about what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from conftest import ROOT, arm_of, small_run
from lr_ceiling.evidence.records import Ratio, network
from lr_ceiling.pipeline.commands import ceiling
from lr_ceiling.report.schemas import CeilingsReport
from lr_ceiling.search.estimates import NOTHING as UNBOUNDED
from lr_ceiling.search.estimates import Estimate


def make_arm(variant: str = "batchnorm", **changes: Any) -> dict[str, Any]:
    arm = arm_of(small_run(variant=variant)).model_copy(update={"trials": 12} | changes)
    return arm.model_dump(mode="json")


RATIO = Ratio(
    activation="relu",
    lr50=UNBOUNDED,
    lr90=Estimate(estimate=4.0, ci95=(2.0, 8.0)),
    usable=Estimate(estimate=3.0, ci95=(1.5, 6.0)),
    exists=0.97,
).model_dump(mode="json")


def ask(folder: Path, *arguments: str, arms: list[dict[str, Any]] | None = None) -> Result:
    path = folder / "ceilings.json"
    found = {"arms": [make_arm()] if arms is None else arms, "ratios": [RATIO]}
    path.write_text(json.dumps(found))
    return CliRunner().invoke(ceiling.main, ["--ceilings", str(path), *arguments])


def test_each_network_has_a_row_with_two_learning_rates(tmp_path: Path) -> None:
    arms = [make_arm("baseline"), make_arm()]
    shown = ask(tmp_path, arms=arms)
    assert shown.exit_code == 0
    for name in ("baseline, relu", "batch norm, relu"):
        (line,) = (line for line in shown.stdout.splitlines() if f" {name} " in line)
        assert "0.006 (0.003 to 0.012)" in line
        assert "0.01 (0.005 to 0.02)" in line
    assert (
        "relu, batch norm's over the baseline's: no accuracy lost up to 3 times (1.5 to 6); "
        "trains up to 4 times (2 to 8), both exist: P = 0.97"
    ) in shown.stdout


def test_one_network_alone_has_no_ratio(tmp_path: Path) -> None:
    arms = [make_arm("baseline"), make_arm()]
    shown = ask(tmp_path, "--variant", "batchnorm", "--activation", "relu", arms=arms)
    assert "batch norm, relu" in shown.stdout
    assert "baseline, relu" not in shown.stdout
    assert "times" not in shown.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"lr90": Estimate(estimate=None, ci95=(2.0, None)), "labels": {"stable": 12}},
            "no ceiling found up to 2, 12 of 12 stable",
        ),
        ({"lr90": UNBOUNDED}, "not bounded"),
    ],
)
def test_what_is_missing_is_told(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in ask(tmp_path, arms=[make_arm(**changes)]).stdout


def test_the_projects_own_report_is_read() -> None:
    path = ROOT / "reports" / "ceilings.json"
    shown = CliRunner().invoke(ceiling.main, ["--ceilings", str(path)])
    assert shown.exit_code == 0
    for arm in CeilingsReport.read(path).arms:
        assert f" {network(arm)} " in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "arms", "said"),
    [
        (["--variant", "base"], None, "has batchnorm relu, not base"),
        ([], [], "has nothing, not anything"),
        ([], [{"variant": "baseline"}], "is not of this version"),
    ],
)
def test_what_is_not_there_is_one_line(
    arguments: list[str], arms: list[dict[str, Any]] | None, said: str, tmp_path: Path
) -> None:
    shown = ask(tmp_path, *arguments, arms=arms)
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: ")
    assert said in shown.stderr
    assert shown.stderr.count("\n") == 1


def test_a_missing_report_is_one_line(tmp_path: Path) -> None:
    shown = CliRunner().invoke(ceiling.main, ["--ceilings", str(tmp_path / "x.json")])
    assert (shown.exit_code, shown.stderr) == (
        1,
        f"error: {tmp_path}/x.json is missing: run `dvc repro` to make it\n",
    )
