"""Theory as tasks: what is kept is found again, if it is what its name says."""

from pathlib import Path

import pytest

from conftest import small_spec
from lr_ceiling.evidence import theory_task
from lr_ceiling.evidence.theory_task import ArmTheory, Finding, TheoryTask
from lr_ceiling.execution.runner import Ended, Task
from lr_ceiling.mnist.specification import RunSpec

SPECS = [small_spec("0" * 16, seed=seed) for seed in range(3)]
SPLITS = Path("unused")


def finding(spec: RunSpec) -> Finding:
    return Finding(
        initial=0.1 * (1 + spec.seed), trained=None, logit_difference=1e-13, gradient_ratio=None
    )


def run(arm: ArmTheory, lives: int = 10**9) -> list[int]:
    """Run all of it, or some; returns the seeds that ran."""
    ran = []
    while lives and (task := arm.next()) is not None:
        assert isinstance(task, TheoryTask)
        arm.take(Ended(task, finding(task.spec), 0.0, 0.0))
        ran.append(task.spec.seed)
        lives -= 1
    return ran


def test_what_was_found_is_not_looked_for_again(tmp_path: Path) -> None:
    assert run(ArmTheory(SPECS, SPLITS, tmp_path), lives=2) == [0, 1]
    arm = ArmTheory(SPECS, SPLITS, tmp_path)
    assert run(arm) == [2]
    assert arm.findings == [finding(spec) for spec in SPECS]
    again = ArmTheory(SPECS, SPLITS, tmp_path)
    assert again.next() is None
    assert again.findings == arm.findings


def test_another_version_or_a_damaged_file_is_found_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(ArmTheory(SPECS, SPLITS, tmp_path))
    first, second, third = sorted(tmp_path.iterdir())
    first.write_text("[]")
    second.write_text(second.read_text()[:-20])
    third.write_text(third.read_text().replace("trained", "schooled"))
    assert sorted(run(ArmTheory(SPECS, SPLITS, tmp_path))) == [0, 1, 2]
    monkeypatch.setattr(theory_task, "THEORY_VERSION", 2)
    assert run(ArmTheory(SPECS, SPLITS, tmp_path)) == [0, 1, 2]


def test_a_task_says_what_it_is() -> None:
    task: Task = TheoryTask(SPECS[0], SPLITS)
    assert str(task) == "theory of baseline relu lr=0.003 seed=0"
