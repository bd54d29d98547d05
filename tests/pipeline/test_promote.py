"""`lr-ceiling promote`: what it says, its exit codes; tests/live/test_gate.py has the decisions."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import arm_of, put_forward, write_ceilings
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.pipeline.commands import promote

Trained = list[tuple[RunResult, Path]]


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--fail-on-refusal"], 3)])
def test_a_refusal_is_a_result_or_on_demand_an_exit_code(
    arguments: list[str], code: int, project: Path, small_splits: Path, trained: Trained
) -> None:
    put_forward(project, small_splits, *trained[0])
    write_ceilings(project, arm_of(trained[0][0], usable=None))
    shown = CliRunner().invoke(promote.main, arguments)
    assert shown.exit_code == code
    assert "FAILED  ceiling: no cell of the grid" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("refused: no cell of the grid")
    written = json.loads((project / "state" / "promotion.json").read_text())
    assert (written["decision"], written["live"]) == ("refused", None)


def test_a_promotion_shows_what_was_measured(
    project: Path, small_splits: Path, trained: Trained
) -> None:
    put_forward(project, small_splits, *trained[0])
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("floor: 0.97", "floor: 0.5"))
    shown = CliRunner().invoke(promote.main, ["--fail-on-refusal"])
    assert shown.exit_code == 0
    assert "FAILED" not in shown.stdout
    assert "challenger, version 1" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("promoted: its accuracy is ")
    place = f"sqlite:///{project}/mlruns/mlflow.db"
    assert shown.stdout.endswith(f"Live: version 1 of lr-ceiling in {place}\n")
    written = json.loads((project / "state" / "promotion.json").read_text())
    assert (written["model"], written["registry"]) == ("lr-ceiling", place)


def test_without_results_it_says_what_to_do(project: Path) -> None:
    shown = CliRunner().invoke(promote.main, [])
    assert (shown.exit_code, shown.stderr) == (
        1,
        "error: reports/validation.json is missing: run `dvc repro` to make it\n",
    )
    assert not (project / "state" / "promotion.json").exists()
