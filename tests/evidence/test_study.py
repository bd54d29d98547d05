"""The study of an arm: what its key holds, which trials run on, what it makes of an audit."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.records import AuditedRule, read_study
from lr_ceiling.evidence.study import (
    ArmTrials,
    calls_of,
    journal_of,
    qualified,
    write_study,
)
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import NO_CALLS, Calls
from lr_ceiling.search.schedule import AUDITED, Question

# As in params.yaml, for the baseline.
QUESTION = Question(seed=0, lag=4, interval_decades=0.3, budget=15.0, low=1e-4, high=1.0)
TEMPLATE = small_spec("0" * 16, ended_by=("dead",))


def trials(question: Question = QUESTION, calls: Calls = NO_CALLS) -> ArmTrials:
    return ArmTrials(TEMPLATE, question, calls, Path("splits.npz"))


def test_a_larger_budget_goes_on_with_the_same_study() -> None:
    larger = trials(replace(QUESTION, budget=99.0))
    assert larger.aim.key == trials().aim.key
    assert larger.aim.budget == 99


@pytest.mark.parametrize("change", [{"lag": 2}, {"interval_decades": 0.1}, {"high": 2.0}])
def test_what_decides_the_trials_is_in_the_key(change: dict[str, float]) -> None:
    other = trials(replace(QUESTION, **change))  # type: ignore[arg-type]
    assert other.aim.key != trials().aim.key
    assert trials(calls=Calls(59, 1)).aim.key != trials().aim.key


def test_each_trial_has_a_seed_of_its_own_and_one_of_each_eight_runs_on() -> None:
    study = trials()
    specs = [study.spec(index, 0.01) for index in range(400)]
    assert len({spec.seed for spec in specs}) == len(specs)
    assert {spec.ended_by for spec in specs} == {(), ("dead",)}
    run_on = [index for index, spec in enumerate(specs) if not spec.ended_by]
    assert [index // AUDITED for index in run_on] == list(range(len(specs) // AUDITED))
    assert len({index % AUDITED for index in run_on}) == AUDITED
    assert specs == [study.spec(index, 0.01) for index in range(400)]


def test_a_task_is_the_trial_on_the_studys_data_and_its_result_is_known_by_its_spec() -> None:
    study = trials()
    task = study.task(3, 0.01)
    assert (task.spec, task.splits) == (study.spec(3, 0.01), Path("splits.npz"))
    run = small_run().model_copy(update={"spec": task.spec})
    assert study.is_of(run, task)
    assert not study.is_of(run, study.task(4, 0.01))
    assert study.load(study.dump(run)) == run


def test_a_journal_is_named_by_arm_and_by_what_makes_the_trials(tmp_path: Path) -> None:
    paths = {
        journal_of(tmp_path, "baseline-relu", trials()),
        journal_of(tmp_path, "baseline-relu", trials(replace(QUESTION, budget=99.0))),
        journal_of(tmp_path, "baseline-relu", trials(replace(QUESTION, lag=2))),
    }
    assert len(paths) == 2
    assert all(path.match("baseline-relu-*.journal") for path in paths)


def rule(name: Label, audited: int, wrong: int, below: float) -> AuditedRule:
    return AuditedRule(
        rule=name, audited=audited, wrong=wrong, wrong_share_below=below, arms={"baseline-relu": 1}
    )


def test_an_audit_qualifies_rules_and_its_calls_count_together() -> None:
    rules = (rule("dead", 59, 0, 0.0495), rule("lost", 40, 1, 0.114), rule("exploded", 0, 0, 1.0))
    assert qualified(rules, "baseline") == ("dead",)
    assert qualified(rules, "batchnorm") == ()
    assert calls_of(rules) == Calls(99, 1)


def test_a_study_is_written_whole(tmp_path: Path) -> None:
    study = trials()
    runs = [
        small_run(label=label).model_copy(update={"spec": study.spec(index, rate)})
        for index, (rate, label) in enumerate([(0.01, "stable"), (0.1, "dead"), (0.02, "slow")])
    ]
    found = write_study(tmp_path, replace(study.aim, budget=3), runs)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "trials.csv", "posterior.json", "study.json"}
    assert read_study(tmp_path / "study.json") == found
    assert list(read_runs(tmp_path / "runs.json")) == runs
    assert (found.trials, found.highest_stable) == (3, 0.01)
    assert found.labels == {"dead": 1, "slow": 1, "stable": 1}
    assert (tmp_path / "trials.csv").read_text().count("\n") == 4
