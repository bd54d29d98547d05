"""`lr-ceiling ceiling`: the answer in a line, honest about what is missing."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from conftest import ROOT, small_belief, small_study, small_usable
from lr_ceiling.evidence.ceilings import held_against_theory
from lr_ceiling.evidence.records import Pooled
from lr_ceiling.pipeline.commands import ceiling
from lr_ceiling.search.estimates import NOTHING as UNBOUNDED

NOTHING = {"estimate": None, "ci95": [None, None]}
UNKNOWN: dict[str, Any] = {"median": None, "least": None, "most": None, "n": 0, "rates": []}
POOLED = Pooled(
    lr50=UNBOUNDED,
    lr90=UNBOUNDED,
    exists=0.9,
    usable=small_usable(),
    runs={"search": 12},
    seeds=12,
    stable=6,
    without={},
    left_out=(),
)
CRITICAL = {"initial": UNKNOWN, "trained": UNKNOWN}


def make_arm(variant: str = "batchnorm", **changes: Any) -> dict[str, Any]:
    found = {
        "variant": variant,
        "lr90": {"estimate": 0.01234, "ci95": [0.0111, 0.0149]},
        "lr50": {"estimate": 0.0234, "ci95": [0.02, 0.03]},
        "trials": 12,
        "full_run_equivalents": 9.84,
    }
    arm = held_against_theory(small_study(**found | changes), small_belief(), CRITICAL, POOLED)
    return arm.model_dump(mode="json")


def ask(folder: Path, *arguments: str, arms: list[dict[str, Any]] | None = None) -> Result:
    path = folder / "ceilings.json"
    path.write_text(json.dumps({"arms": [make_arm()] if arms is None else arms, "ratios": []}))
    return CliRunner().invoke(ceiling.main, ["--ceilings", str(path), *arguments])


def test_an_arm_is_a_line(tmp_path: Path) -> None:
    arms = [make_arm("baseline"), make_arm()]
    shown = ask(tmp_path, "--variant", "batchnorm", "--activation", "relu", arms=arms)
    assert (shown.exit_code, shown.stdout) == (
        0,
        "batchnorm relu: lr90 0.01234 (95% interval 0.0111 to 0.0149); "
        "lr50 0.0234 (0.02 to 0.03); 12 trials, 9.8 full runs\n",
    )
    assert ask(tmp_path, arms=arms).stdout.splitlines()[1] == shown.stdout.strip()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lr90": {"estimate": None, "ci95": [2.0, None]}}, "lr90 is at least 2: the trials"),
        ({"lr50": NOTHING}, "lr50 ? (? to ?)"),
        ({"lr90": NOTHING}, "lr90 is not bounded by so few trials"),
    ],
)
def test_what_is_missing_is_told(changes: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert said in ask(tmp_path, arms=[make_arm(**changes)]).stdout


def test_the_projects_own_report_is_read() -> None:
    path = ROOT / "reports" / "ceilings.json"
    shown = CliRunner().invoke(ceiling.main, ["--ceilings", str(path)])
    assert len(shown.stdout.splitlines()) == len(json.loads(path.read_text())["arms"]) > 0


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
