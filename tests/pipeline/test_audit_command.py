"""`lr-ceiling audit`: it goes on from its report, and loses none of it."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from conftest import small_project, small_run
from lr_ceiling.evidence import audit as auditing
from lr_ceiling.evidence.audit import GROUNDS
from lr_ceiling.evidence.records import AuditedRule
from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline.commands import audit
from lr_ceiling.problems.judge import Label
from lr_ceiling.report.schemas import AuditReport
from stand_in import StandIn

RULES: tuple[Label, ...] = ("dead", "exploded", "stable")


def oracle(task: TrainingTask) -> RunResult:
    """Some of the runs explode, the others die; those below the ground are called stable."""
    if task.spec.learning_rate < GROUNDS[0].low:
        return small_run(**task.spec.model_dump(), called_stable_at=16, test_accuracy=None)
    called: Label = "exploded" if task.spec.seed % 2 else "dead"
    return small_run(
        **task.spec.model_dump(), label=called, called=called, called_at=9, test_accuracy=None
    )


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    runner = StandIn(oracle)
    monkeypatch.setattr(audit, "workers", runner.started)
    return runner


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which four calls are enough, of two rules and of success in one arm."""
    monkeypatch.chdir(small_project(tmp_path, {}))
    monkeypatch.setattr(auditing, "NEEDED", 4)
    monkeypatch.setattr(auditing, "NEEDED_SUCCESSES", 4)
    monkeypatch.setattr(auditing, "LOOKS", 6)
    monkeypatch.setattr(auditing, "FEW", 1)
    monkeypatch.setattr(auditing, "GROUNDS", GROUNDS[:1])
    monkeypatch.setattr(auditing, "RULES", ("dead", "exploded"))
    return tmp_path


def call(splits: Path, state: str = "state/runs") -> int:
    command = [str(splits), "--output", "reports/audit.json", "--state", state]
    shown = CliRunner().invoke(audit.main, command)
    assert shown.exit_code == 0 or isinstance(shown.exception, SystemExit), shown.exception
    return shown.exit_code


def test_an_audit_goes_on_in_another_clone(
    project: Path, small_splits: Path, runner: StandIn
) -> None:
    path = project / "reports/audit.json"
    runner.lives = 7
    assert call(small_splits, "state/here") == 1
    half = AuditReport.read(path)
    # Of the first six runs two exploded; two more are needed where they did.
    assert [rule.audited for rule in half.rules] == [4, 0, 0]
    assert [len(table.runs) for table in half.runs] == [7]
    runner.lives = 10**9
    assert call(small_splits, "state/there") == 0
    total = len(runner.ran)
    whole = AuditReport.read(path)
    assert [(rule.rule, rule.audited >= 4) for rule in whole.rules] == [
        (rule, True) for rule in RULES
    ]
    assert sum(len(table.runs) for table in whole.runs) == total

    for rule in whole.rules:
        (arm,) = rule.under
        assert (arm.conditions.arm, arm.conditions.horizon_steps) == ("baseline-relu", 40)
        assert len(arm.learning_rates) == arm.near == rule.audited
    assert list(read_json(path)) == ["format", "conditions", "horizon_steps", "rules", "runs"]
    first = path.read_bytes()
    path.unlink()
    assert call(small_splits, "state/whole") == 0
    assert path.read_bytes() == first
    assert call(small_splits, "state/other") == 0
    assert len(runner.ran) == 2 * total
    assert path.read_bytes() == first


def test_rules_that_are_known_stay_until_their_turn(
    project: Path, small_splits: Path, runner: StandIn
) -> None:
    path = project / "reports/audit.json"
    runner.lives = 0
    assert call(small_splits) == 1
    empty = AuditReport.read(path)
    known = tuple(
        AuditedRule(
            rule=rule, audited=59, wrong=0, wrong_share_below=0.0495, arms={"baseline-relu": 59}
        )
        for rule in RULES
    )
    empty.model_copy(update={"rules": known}).write(path)
    assert call(small_splits) == 1
    assert AuditReport.read(path).rules == known
    runner.lives = 6
    assert call(small_splits) == 1
    assert [rule.audited for rule in AuditReport.read(path).rules] == [4, 59, 59]


def test_an_audit_of_other_params_says_nothing_of_these(
    project: Path, small_splits: Path, runner: StandIn
) -> None:
    path = project / "reports/audit.json"
    assert call(small_splits) == 0
    small_project(project, {"training": {"steps_per_epoch": 21}})
    runner.lives = 0
    assert call(small_splits) == 1
    assert [rule.audited for rule in AuditReport.read(path).rules] == [0, 0, 0]


def test_a_damaged_report_is_not_written_over(
    project: Path, small_splits: Path, runner: StandIn
) -> None:
    (project / "reports").mkdir()
    (project / "reports/audit.json").write_text("{")
    assert call(small_splits) == 1
    assert (project / "reports/audit.json").read_text() == "{"
    assert len(runner.ran) == 0
