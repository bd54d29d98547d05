"""The plan of a search: what its key holds, which trials run on, what it makes of an audit."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import ROOT, small_run, small_spec
from lr_ceiling.evidence.records import Audit, AuditedRule, read_study
from lr_ceiling.evidence.study import AUDITED, calls_of, make_plan, qualified, write_study
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.params import Search
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import NO_CALLS, Calls

VALUES = params.load(ROOT / "params.yaml")
TEMPLATE = small_spec("0" * 16, ended_by=("dead",))


def key(search: Search = VALUES.search, calls: Calls = NO_CALLS) -> str:
    return make_plan(TEMPLATE, search, calls).aim.key


def test_a_larger_budget_goes_on_with_the_same_study() -> None:
    larger = VALUES.search.model_copy(update={"budget_runs": {"default": 99.0}})
    assert key(larger) == key()
    assert make_plan(TEMPLATE, larger, NO_CALLS).aim.budget == 99


@pytest.mark.parametrize("change", [{"lag": 2}, {"interval_decades": 0.1}])
def test_what_decides_the_trials_is_in_the_key(change: dict[str, object]) -> None:
    assert key(VALUES.search.model_copy(update=change)) != key()
    assert key(calls=Calls(59, 1)) != key()


def test_each_trial_has_a_seed_of_its_own_and_one_of_each_eight_runs_on() -> None:
    plan = make_plan(TEMPLATE, VALUES.search, NO_CALLS)
    specs = [plan.spec(index, 0.01) for index in range(400)]
    assert len({spec.seed for spec in specs}) == len(specs)
    assert {spec.ended_by for spec in specs} == {(), ("dead",)}
    run_on = [index for index, spec in enumerate(specs) if not spec.ended_by]
    assert [index // AUDITED for index in run_on] == list(range(len(specs) // AUDITED))
    assert len({index % AUDITED for index in run_on}) == AUDITED
    assert specs == [plan.spec(index, 0.01) for index in range(400)]


def rule(name: Label, audited: int, wrong: int, below: float) -> AuditedRule:
    return AuditedRule(
        rule=name, audited=audited, wrong=wrong, wrong_share_below=below, arms={"baseline-relu": 1}
    )


def test_an_audit_qualifies_rules_and_its_calls_count_together() -> None:
    rules = (rule("dead", 59, 0, 0.0495), rule("lost", 40, 1, 0.114), rule("exploded", 0, 0, 1.0))
    audit = Audit(horizon_steps=100, rules=rules)
    assert qualified(audit, "baseline") == ("dead",)
    assert qualified(audit, "batchnorm") == ()
    assert calls_of(audit) == Calls(99, 1)


def test_a_study_is_written_whole(tmp_path: Path) -> None:
    plan = make_plan(TEMPLATE, VALUES.search, NO_CALLS)
    runs = [
        small_run(label=label).model_copy(update={"spec": plan.spec(index, rate)})
        for index, (rate, label) in enumerate([(0.01, "stable"), (0.1, "dead"), (0.02, "slow")])
    ]
    study = write_study(tmp_path, replace(plan.aim, budget=3), runs)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "trials.csv", "posterior.json", "study.json"}
    assert read_study(tmp_path / "study.json") == study
    assert list(read_runs(tmp_path / "runs.json")) == runs
    assert (study.trials, study.highest_stable) == (3, 0.01)
    assert study.labels == {"dead": 1, "slow": 1, "stable": 1}
    assert (tmp_path / "trials.csv").read_text().count("\n") == 4
