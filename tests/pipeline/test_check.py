"""`lr-ceiling check`: what it says and its exit codes; other tests hold what it looks at."""

import shutil
from pathlib import Path

from click.testing import CliRunner

from conftest import ROOT, write_results
from lr_ceiling.pipeline.commands import check


def test_damage_is_told_with_what_mends_it(project: Path) -> None:
    write_results(project)
    shutil.copy(ROOT / "params.yaml", project)
    shutil.copytree(ROOT / "reports", project / "reports", dirs_exist_ok=True)
    (project / "reports" / "claims.json").write_text("{")
    (project / "data" / "search" / "baseline-relu" / "study.json").unlink()
    shown = CliRunner().invoke(check.main, [])
    assert shown.exit_code == 1
    assert "  reports/claims.json is not JSON" in shown.stdout
    assert (
        "  data/search/baseline-relu/study.json is missing: run `dvc repro` to make it"
        in shown.stdout
    )
    assert "registry: 1 looked at, sound" in shown.stdout
    assert shown.stderr.startswith("error: ")
    assert shown.stderr.endswith(" are damaged or missing: see above\n")
    assert shown.stderr.count("\n") == 1


def test_impossible_params_are_told_first(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("[0.001, 0.01]", "0.03"))
    shown = CliRunner().invoke(check.main, [])
    assert (shown.exit_code, shown.stdout) == (1, "")
    assert shown.stderr.startswith("error: params.yaml: grid.learning_rates is 0.03: ")
