"""Which early calls may end a search's runs, and what a run was called."""

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.audit import NEEDED, NEEDED_SUCCESSES, most_wrong
from lr_ceiling.evidence.early_calls import call_of, calls_of, qualified, unused
from lr_ceiling.evidence.records import AuditedArm, AuditedRule, Conditions
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import NO_CALLS, Call, Calls, Tally

TEMPLATE = small_spec("0" * 16)
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
    rules = (
        rule("dead", 59, 0), rule("lost", 100, 1), rule("exploded", 2, 1), rule("stable", 150, 1),
    )  # fmt: skip
    assert qualified(rules, CONDITIONS) == ("dead", "lost")
    # Rules that may end no run say nothing of the others.
    assert calls_of(rules, CONDITIONS) == Calls(failures=Tally(159, 1), successes=Tally(0, 0))
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


@pytest.mark.parametrize(
    ("name", "near", "wrong", "may"),
    [
        ("dead", NEEDED, 0, True),
        ("dead", NEEDED - 1, 0, False),
        ("dead", NEEDED, 1, False),
        # What is good enough for a call of failure is not for one of success.
        ("stable", NEEDED, 0, False),
        ("stable", NEEDED_SUCCESSES - 1, 0, False),
        ("stable", NEEDED_SUCCESSES, 0, True),
        ("stable", NEEDED_SUCCESSES, 1, False),
    ],
)
def test_failure_is_bounded_at_five_percent_and_success_at_one_and_a_half(
    name: Label, near: int, wrong: int, may: bool
) -> None:
    rules = (rule(name, near, wrong),)
    assert qualified(rules, CONDITIONS) == ((name,) if may else ())
    assert (unused(rules, CONDITIONS) is None) == may


@pytest.mark.parametrize(
    ("label", "called", "stable_at", "steps", "call"),
    [
        ("stable", None, None, 20, None),
        ("dead", "dead", None, 8, "failure"),
        ("stable", "dead", None, 20, "failure"),
        ("stable", None, 8, 8, "success"),
        ("stable", None, 8, 20, "success"),
        ("slow", None, 8, 20, "success"),
        # Called stable, then lost: the call that ended it counts, and of a whole run the first.
        ("lost", "lost", 8, 15, "failure"),
        ("lost", "lost", 8, 20, "success"),
        ("diverged", "diverged", None, 5, None),
        # Called stable, and wrong: it went on and diverged.
        ("diverged", "diverged", 8, 15, "success"),
    ],
)
def test_of_two_calls_the_one_that_ended_a_run_counts_else_the_first(
    label: Label, called: Label | None, stable_at: int | None, steps: int, call: Call | None
) -> None:
    run = small_run(
        label=label,
        called=called,
        called_at=called and 15,
        called_stable_at=stable_at,
        steps=steps,
    )
    assert call_of(run) == call
