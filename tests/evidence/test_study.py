"""The study of an arm: what its key holds, which trials run on, what it makes of an audit."""

from dataclasses import replace
from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.audit import most_wrong
from lr_ceiling.evidence.records import AuditedArm, AuditedRule, Conditions, read_study
from lr_ceiling.evidence.study import (
    ArmTrials,
    calls_of,
    journal_of,
    observation,
    qualified,
    unused,
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


CONDITIONS = Conditions.of(TEMPLATE)


def rule(name: Label, near: int, wrong: int, conditions: Conditions = CONDITIONS) -> AuditedRule:
    limit = most_wrong(wrong, near)
    arm = AuditedArm(
        conditions=conditions, edge=0.01, learning_rates=(0.02,) * near, near=near, wrong=wrong,
        wrong_share_below=limit,
    )  # fmt: skip
    return AuditedRule(
        rule=name, audited=near, wrong=wrong, wrong_share_below=limit,
        arms={conditions.arm: near}, under=(arm,),
    )  # fmt: skip


def test_an_audit_qualifies_rules_and_its_calls_count_together() -> None:
    rules = (rule("dead", 59, 0), rule("lost", 40, 1), rule("exploded", 0, 0))
    assert qualified(rules, CONDITIONS) == ("dead",)
    assert calls_of(rules, CONDITIONS) == Calls(99, 1)
    assert unused(rules, CONDITIONS) is None


@pytest.mark.parametrize(
    "change",
    [
        {"variant": "batchnorm"},
        {"activation": "tanh"},
        {"optimizer": "sgd"},
        {"batch_size": 64},
        {"epochs": 2},
        {"target_accuracy": 0.8},
        {"data_digest": "1" * 16},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_audit_under_other_conditions_is_not_used_and_it_says_why(
    change: dict[str, object],
) -> None:
    rules = (rule("dead", 59, 0),)
    other = Conditions.of(small_spec("0" * 16, **change))
    assert qualified(rules, other) == ()
    assert calls_of(rules, other) == NO_CALLS
    reason = unused(rules, other)
    assert reason is not None
    assert "\n" not in reason
    if {"variant", "activation"} & set(change):
        assert reason == f"no early call was audited of {other.arm}"
    else:
        assert reason.startswith("the audit is of ")


def test_an_audit_of_another_horizon_names_both() -> None:
    longer = Conditions.of(small_spec("0" * 16, epochs=3))
    assert unused([rule("dead", 59, 0)], longer) == "the audit is of horizon_steps 20, not 60"


def test_an_audit_of_too_few_calls_or_of_old_is_not_used_and_it_says_why() -> None:
    reason = "the audit's calls near the edge are too few, or wrong too often: dead 0 of 20"
    assert unused([rule("dead", 20, 0)], CONDITIONS) == reason
    old = rule("dead", 59, 0).model_copy(update={"under": ()})
    assert qualified([old], CONDITIONS) == ()
    assert "does not tell its conditions" in (unused([old], CONDITIONS) or "")


def test_a_run_that_diverged_is_no_early_call() -> None:
    """A loss that is no number is a fact: nothing was predicted, and nothing can be wrong."""
    ended = observation(small_run(label="diverged", called="diverged", called_at=5, steps=5))
    assert (ended.stable, ended.called, ended.ended) == (False, False, False)
    at_the_end = observation(small_run(label="diverged", called="diverged", called_at=20))
    assert (at_the_end.called, at_the_end.ended) == (False, False)
    dead = observation(small_run(label="dead", called="dead", called_at=5, steps=5))
    assert (dead.called, dead.ended) == (True, True)
    let_on = observation(small_run(label="dead", called="dead", called_at=5))
    assert (let_on.called, let_on.ended) == (True, False)


def test_a_study_counts_the_calls_that_predicted(tmp_path: Path) -> None:
    study = trials()
    courses = [("dead", 5), ("dead", 20), ("diverged", 5), ("diverged", 20)]
    runs = [
        small_run(label=label, called=label, called_at=5, steps=steps).model_copy(
            update={"spec": study.spec(index, 0.1)}
        )
        for index, (label, steps) in enumerate(courses)
    ]
    found = write_study(tmp_path, replace(study.aim, budget=3), runs)
    made = found.early_decisions
    assert (made.made, made.audited, made.wrong) == (1, 1, 0)


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
