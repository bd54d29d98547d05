"""The arms' studies: what params and audit make of them."""

from pathlib import Path

import pytest

from conftest import small_project
from lr_ceiling.errors import ParamsError
from lr_ceiling.evidence.records import AuditedArm, AuditedRule, Conditions
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.params import Params
from lr_ceiling.search.posterior import NO_CALLS, Calls, Tally

# As a small project trains.
CONDITIONS = Conditions(
    variant="baseline", activation="relu", optimizer="adam", batch_size=32, horizon_steps=40,
    target=0.9, data_digest="0" * 16,
)  # fmt: skip
AUDITED = AuditedArm(
    conditions=CONDITIONS, edge=0.01, learning_rates=(0.02,) * 59, near=59, wrong=0,
    wrong_share_below=0.0495,
)  # fmt: skip
AUDIT = (
    AuditedRule(
        rule="dead", audited=59, wrong=0, wrong_share_below=0.0495, arms={"baseline-relu": 59},
        under=(AUDITED,),
    ),
)  # fmt: skip


def load(folder: Path, **search: object) -> Params:
    return params.load(small_project(folder, {"search": search}) / "params.yaml")


def test_trials_are_those_of_the_section_search(tmp_path: Path) -> None:
    values = load(tmp_path, budget_runs={"default": 3, "baseline-relu": 7}, lag=2)
    trials = trials_of(values, "baseline", "relu", AUDIT, tmp_path / "splits.npz", "0" * 16)
    low, high = values.search.range["baseline"].low, values.search.range["baseline"].high
    aim = trials.aim
    assert (aim.low, aim.high, aim.budget, aim.lag) == (low, high, 7, 2)
    assert aim.calls == Calls(failures=Tally(59, 0))
    assert aim.confirmations == values.search.confirmations
    assert (aim.usable_runs, aim.usable_loss) == (values.usable.runs, values.usable.loss)
    assert trials.template.ended_by == ("dead",)
    other = trials_of(values, "baseline", "sigmoid", AUDIT, tmp_path / "splits.npz", "0" * 16)
    assert (other.aim.budget, other.aim.calls, other.template.ended_by) == (3, NO_CALLS, ())
    assert other.aim.key != aim.key


def test_the_budget_is_no_part_of_a_study_and_all_else_is(tmp_path: Path) -> None:
    def key(**search: object) -> str:
        values = load(tmp_path, **search)
        return trials_of(values, "baseline", "relu", AUDIT, Path("splits"), "0" * 16).aim.key

    unchanged = key()
    assert key(budget_runs={"default": 99}) == unchanged
    changes: list[dict[str, object]] = [{"seed": 7}, {"lag": 3}, {"interval_decades": 0.2}]
    assert len({unchanged, *(key(**change) for change in changes)}) == 4


def test_an_arm_without_a_range_is_refused(tmp_path: Path) -> None:
    values = load(tmp_path)
    with pytest.raises(ParamsError, match=r"--variant is 'resnet': search\.range has baseline"):
        trials_of(values, "resnet", "relu", AUDIT, Path("splits"), "0" * 16)
