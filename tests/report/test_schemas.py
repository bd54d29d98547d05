"""The committed reports: each is read whole, written as it was, and refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT
from faults.report import ReliabilityReport
from lr_ceiling.errors import ResultsError
from lr_ceiling.execution.files import read_json
from lr_ceiling.pipeline.integrity.results import REPORTS as PACKAGE_REPORTS
from lr_ceiling.report.schemas import (
    AuditReport,
    ClaimsReport,
    Report,
    VerificationReport,
)

# Those that `lr-ceiling check` reads, and that of `make faults`, which the package does not know.
REPORTS: dict[str, type[Report]] = {**PACKAGE_REPORTS, "reliability": ReliabilityReport}
RULES = '{"horizon_steps": 1, "rules": [], "format": %s}'


def test_every_committed_report_has_a_schema() -> None:
    assert {path.stem for path in (ROOT / "reports").glob("*.json")} == set(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_written_as_it_was_read(name: str, tmp_path: Path) -> None:
    path = ROOT / "reports" / f"{name}.json"
    report = REPORTS[name].read(path)
    report.write(tmp_path / "again.json")
    before, after = read_json(path), read_json(tmp_path / "again.json")
    if before.get("format", 1) == REPORTS[name].FORMAT:
        assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    else:
        # Whoever writes it next raises its format, and may know more.
        assert after["format"] == REPORTS[name].FORMAT
        assert json.dumps(kept({**after, "format": before.get("format")}, before)) == json.dumps(
            before
        )
    assert REPORTS[name].read(tmp_path / "again.json").content() == report.content()


def kept(after: Any, before: Any) -> Any:
    """Of `after` what `before` has too, at any depth; all of it where the two differ in kind."""
    if isinstance(after, dict) and isinstance(before, dict):
        return {part: kept(after[part], before[part]) for part in before if part in after}
    if isinstance(after, list) and isinstance(before, list) and len(after) == len(before):
        return [kept(*pair) for pair in zip(after, before, strict=True)]
    return after


def test_the_format_comes_first_and_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    path.write_text('{"horizon_steps": 1, "rules": []}')
    old = AuditReport.read(path)
    assert old.format == 1
    old.write(path)
    assert next(iter(read_json(path))) == "format"
    assert AuditReport.read(path).format == AuditReport.FORMAT == 3


def test_a_report_of_something_else_knows_nothing() -> None:
    committed = VerificationReport.read(ROOT / "reports" / "verification.json")
    assert committed.conditions is not None
    assert committed.under(committed.conditions) is committed
    assert committed.under("others") == VerificationReport(conditions="others", arms=())
    claims = ClaimsReport.read(ROOT / "reports" / "claims.json")
    assert claims.subject is not None
    assert claims.about(claims.subject) is claims
    assert claims.about("another") == ClaimsReport(subject="another")


def test_work_goes_on_from_a_report_of_the_same_alone(tmp_path: Path) -> None:
    path = tmp_path / "verification.json"
    new = VerificationReport(conditions="these", arms=())
    assert new.resumed(path) is new
    for conditions in ("these", "others", None):
        there = VerificationReport(conditions=conditions, arms=(), runs=())
        there.write(path)
        assert (new.resumed(path) == there) == (conditions == "these")
    path.write_text("{")
    with pytest.raises(ResultsError):
        new.resumed(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing: run `make audit` to make it"),
        ("{", "is not JSON"),
        ("[]", "holds no report: remove it and run `make audit`"),
        (RULES % 4, "has format 4, not 3 or less: update the project"),
        (RULES % '"x"', "has format 'x'"),
        ('{"horizon_steps": 1}', "(rules: Field required): remove it and run `make audit`"),
        (
            '{"horizon_steps": 1, "rules": [], "runs": [{"engine": "", "identity": "", '
            '"processor": "", "shared": {"seed": 1}, "runs": [{"seed": 1}]}]}',
            "(runs.0: Value error, run 0: variant: Field required)",
        ),
        ('{"horizon_steps": 1, "rules": [], "more": 0}', "(more: Extra inputs are not permitted)"),
    ],
)
def test_what_is_missing_damaged_or_foreign_is_told_in_one_line(
    content: str | None, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "audit.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultsError) as raised:
        AuditReport.read(path)
    assert str(raised.value).startswith(f"{path} ")
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)
