"""Reports, runs and studies, each held against what it speaks of."""

import re
import shutil
from pathlib import Path

import pytest

from conftest import ROOT, write_results
from lr_ceiling.pipeline.integrity.results import REPORTS, check_reports, check_runs


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_a_stage_wrote_is_read(folder: Path) -> None:
    write_results(folder)
    sound = {"validation", "verification", "claims"}
    assert not [one for one in check_reports().faults if any(name in one.what for name in sound)]


def test_a_damaged_report_is_told_with_the_command_that_makes_it(folder: Path) -> None:
    shutil.copytree(ROOT / "reports", folder / "reports")
    path = folder / "reports" / "audit.json"
    path.write_text(path.read_text().replace("rules", "ruled", 1))
    (folder / "reports" / "claims.json").unlink()
    part = check_reports()
    assert part.seen == len(REPORTS)
    audit, claims = (one for one in part.faults if re.match(r"reports/(audit|claims)", one.what))
    assert audit.what.startswith("reports/audit.json is not of this version (")
    assert "make audit" in audit.mending
    assert str(claims) == "reports/claims.json is missing: run `make claims` to make it"


def test_every_run_needs_its_model_and_every_study_its_files(folder: Path) -> None:
    write_results(folder)
    faults = list(map(str, check_runs().faults))
    # They were made without models.
    assert len(faults) == 6 * 3
    assert (
        "data/models/baseline-relu-0.01/seed-0.keras is missing: "
        "`dvc repro train@baseline-relu-0.01` makes it" in faults
    )
    (folder / "data/search/baseline-relu/posterior.json").write_text("[]")
    assert len(check_runs().faults) == 6 * 3 + 1


def test_runs_of_other_data_are_told(folder: Path, small_splits: Path) -> None:
    write_results(folder)
    shutil.copy(small_splits, folder / "data" / "splits.npz")
    told = [str(fault) for fault in check_runs().faults if "other data" in str(fault)]
    assert len(told) == 6
