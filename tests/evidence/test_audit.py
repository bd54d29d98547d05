"""The audit of early calls: which runs are drawn, when it stops, what it says."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT, small_run, small_spec
from lr_ceiling.evidence.audit import (
    ABOUT,
    FEW,
    GROUNDS,
    LOOKS,
    NEAR,
    NEEDED,
    NEEDED_SUCCESSES,
    RULES,
    SUCCESS,
    Audited,
    Ground,
    Run,
    audit,
    audit_all,
    audit_rows,
    audit_success,
    draw,
    in_words,
    missing_successes,
    most_wrong,
    summarise,
)
from lr_ceiling.evidence.records import AuditedRule, Conditions
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.problems.judge import Label
from lr_ceiling.report.schemas import AuditReport

TEMPLATE = small_spec("d")
RELU, SIGMOID = GROUNDS


def runner(share: float, label: Label = "dead", above: float = 0.0) -> tuple[list[RunSpec], Run]:
    """Runs, a share of which are called dead, none of them up to the learning rate `above`."""
    seen: list[RunSpec] = []

    def run(specs: Sequence[RunSpec]) -> Sequence[RunSummary]:
        seen.extend(specs)
        return [
            small_run(**spec.model_dump(), label=label, called="dead", called_at=10)
            if spec.learning_rate > above and np.random.default_rng(spec.seed).random() < share
            else small_run(**spec.model_dump(), label="slow")
            for spec in specs
        ]

    return seen, run


def called(count: int, wrong: int = 0, rate: float = 0.02) -> list[RunSummary]:
    """Runs that were called dead, the first of which became stable."""
    return [
        small_run(
            seed=seed, learning_rate=rate, label="stable" if seed < wrong else "dead", called="dead"
        )
        for seed in range(count)
    ]


def test_it_ends_with_as_many_calls_as_a_bound_of_5_percent_needs() -> None:
    seen, run = runner(share=0.7)
    runs = audit("dead", RELU, TEMPLATE, run)
    assert len(runs) >= NEEDED
    assert NEEDED / 0.9 < len(seen) < NEEDED / 0.5
    assert all(one.called == "dead" for one in runs)


def test_it_looks_on_where_the_rule_fires() -> None:
    seen, run = runner(share=1.0, above=0.03)
    runs = audit("dead", SIGMOID, TEMPLATE, run)
    assert len(runs) >= NEEDED
    # From the whole ground, two in nine would have been called: 266 runs.
    assert len(seen) < LOOKS + 1.5 * NEEDED
    assert min(spec.learning_rate for spec in seen[LOOKS:]) > 0.03


@pytest.mark.parametrize("share", [0.0, 0.03])
def test_a_rule_that_seldom_fires_is_given_up(share: float) -> None:
    seen, run = runner(share=share)
    assert len(audit("lost", RELU, TEMPLATE, run)) == 0
    assert len(audit("dead", RELU, TEMPLATE, run)) < FEW
    assert len(seen) == 2 * LOOKS


def test_a_rule_that_fires_now_and_then_is_given_up_before_it_costs_hundreds_of_runs() -> None:
    seen, run = runner(share=0.15)
    assert FEW <= len(audit("dead", RELU, TEMPLATE, run)) < NEEDED
    assert len(seen) < 4 * LOOKS


@pytest.mark.parametrize("ground", GROUNDS)
def test_runs_are_drawn_near_the_edge_with_seeds_of_their_own(ground: Ground) -> None:
    specs = [draw(index, ground, TEMPLATE) for index in range(50)]
    assert len({spec.seed for spec in specs}) == 50
    rates = np.array([spec.learning_rate for spec in specs])
    assert ((ground.low <= rates) & (rates <= NEAR * ground.low)).all()
    assert np.median(rates) == pytest.approx(ground.low * NEAR**0.5, rel=0.5)
    assert {(spec.variant, spec.activation, spec.ended_by) for spec in specs} == {
        (ground.variant, ground.activation, ())
    }
    assert draw(7, ground, TEMPLATE) == specs[7]
    assert 0.01 <= draw(7, ground, TEMPLATE, (0.01, 0.011)).learning_rate <= 0.011


@pytest.mark.parametrize(("calls", "wrong"), [(59, 0), (59, 1), (1, 1)])
def test_the_limit_is_clopper_and_pearsons(calls: int, wrong: int) -> None:
    rule = summarise("dead", [Audited(RELU, called(calls, wrong))])
    (arm,) = rule.under
    assert (rule.audited, rule.wrong, rule.arms) == (calls, wrong, {"baseline-relu": calls})
    assert (arm.near, arm.wrong, arm.edge) == (calls, wrong, RELU.low)
    limit = stats.binomtest(wrong, calls, alternative="less").proportion_ci(0.95).high
    assert rule.wrong_share_below == arm.wrong_share_below == pytest.approx(limit, abs=1e-4)


def test_with_none_wrong_the_number_needed_bounds_the_error_at_5_percent() -> None:
    assert most_wrong(0, NEEDED) < 0.05 < most_wrong(0, NEEDED - 1)


def test_a_rule_without_a_call_is_of_no_arm() -> None:
    rule = summarise("dead", [Audited(RELU, []), Audited(SIGMOID, [])])
    assert (rule.audited, rule.wrong_share_below, rule.arms, rule.under) == (0, 1.0, {}, ())


def test_right_calls_far_above_the_edge_bound_nothing_and_wrong_ones_count() -> None:
    far = called(59, rate=100.0)
    (arm,) = summarise("dead", [Audited(RELU, [*called(3), *far])]).under
    assert (arm.near, arm.wrong_share_below) == (3, most_wrong(0, 3))
    assert arm.learning_rates == (0.02,) * 3 + (100.0,) * 59
    (arm,) = summarise("dead", [Audited(RELU, [*called(59), *called(1, wrong=1, rate=5.0)])]).under
    assert (arm.near, arm.wrong, arm.wrong_share_below) == (59, 1, most_wrong(1, 59))


def test_arms_are_bounded_one_by_one_under_conditions_that_are_told() -> None:
    runs = [
        small_run(**draw(index, SIGMOID, TEMPLATE).model_dump(), label="dead", called="dead")
        for index in range(30)
    ]
    rule = summarise("dead", [Audited(RELU, called(59)), Audited(SIGMOID, runs)])
    assert rule.arms == {"baseline-relu": 59, "baseline-sigmoid": 30}
    relu, sigmoid = rule.under
    assert relu.wrong_share_below < 0.05 < sigmoid.wrong_share_below
    assert sigmoid.conditions == Conditions(
        variant="baseline", activation="sigmoid", optimizer="adam", batch_size=32,
        horizon_steps=20, target=0.9, data_digest="d",
    )  # fmt: skip


def test_all_rules_are_told_at_any_time_and_none_that_was_known_is_lost() -> None:
    known = AuditedRule(
        rule="exploded", audited=59, wrong=0, wrong_share_below=0.0495, arms={"baseline-relu": 59}
    )
    _, run = runner(share=0.7)
    states = list(audit_all(TEMPLATE, run, [known]))
    assert [tuple(rule.rule for rule in rules) for rules in states] == [(*RULES, SUCCESS)] * 6
    assert [rules[0].audited >= 2 * NEEDED for rules in states] == [
        False,
        *[True] * 5,
    ]
    assert states[0][1] == states[1][1] == known
    # Whatever is asked for, dead is called here: the rule's turn replaces what was known.
    assert states[2][1].audited == 0
    assert states[0][2].wrong_share_below == 1


def test_rules_that_do_not_fire_cost_no_run_of_their_own() -> None:
    seen, run = runner(share=0.0)
    *_, _ = audit_all(TEMPLATE, run)
    failures = len(RULES) * len(GROUNDS) * LOOKS
    assert len(set(seen[:failures])) == len(GROUNDS) * LOOKS
    # Nor does success, after the first runs that were looked at for it.
    assert len(seen) == failures + len(GROUNDS) * LOOKS


def test_words_and_rows() -> None:
    run = small_run(label="slow", called="dead", called_at=1234)
    assert in_words(run) == "baseline relu lr=0.003 seed=0: called dead after 1,234, then slow"
    assert in_words(small_run()).endswith(": not called, then stable")
    both = small_run(label="lost", called="lost", called_at=9000, called_stable_at=2250)
    assert in_words(both).endswith("called stable after 2,250, called lost after 9,000, then lost")
    rule = summarise("dead", [Audited(RELU, called(1))])
    assert audit_rows([rule, summarise("lost", [])]) == [
        ("dead", "baseline-relu", "1", "0", "0.950"), ("lost", "-", "0", "0", "1.000"),
    ]  # fmt: skip


def test_the_committed_limits_follow_from_the_committed_counts() -> None:
    for rule in AuditReport.read(ROOT / "reports" / "audit.json").rules:
        assert rule.wrong_share_below == most_wrong(rule.wrong, rule.audited)
        for arm in rule.under:
            assert arm.wrong_share_below == most_wrong(arm.wrong, arm.near)


def test_a_share_of_wrong_calls_of_success_is_bounded_by_199_right_ones() -> None:
    assert most_wrong(0, NEEDED_SUCCESSES) < 0.015 <= most_wrong(0, NEEDED_SUCCESSES - 1)
    assert missing_successes([]) == NEEDED_SUCCESSES
    assert missing_successes([True] * 80) == NEEDED_SUCCESSES - 80
    assert missing_successes([True] * NEEDED_SUCCESSES) == 0


def test_after_a_wrong_call_success_is_given_up() -> None:
    """Who goes on until the bound holds passes rules that are wrong in 1.5% more often than 5%."""
    assert missing_successes([True] * 10 + [False]) == 0


def success(share: float, wrong: int = 0) -> tuple[list[RunSpec], Run]:
    """Runs, a share of which are called stable; the first of these become slow."""
    seen: list[RunSpec] = []
    fired: list[RunSpec] = []

    def one(spec: RunSpec) -> RunSummary:
        if np.random.default_rng(spec.seed).random() >= share:
            return small_run(**spec.model_dump(), label="slow")
        fired.append(spec)
        label = "slow" if len(fired) <= wrong else "stable"
        return small_run(**spec.model_dump(), label=label, called_stable_at=8)

    def run(specs: Sequence[RunSpec]) -> Sequence[RunSummary]:
        seen.extend(specs)
        return [one(spec) for spec in specs]

    return seen, run


def test_success_is_audited_about_the_edge_until_it_is_bounded() -> None:
    seen, run = success(share=0.6)
    (arm,) = summarise(SUCCESS, [Audited(RELU, audit_success(RELU, TEMPLATE, run))]).under
    assert (arm.wrong, arm.wrong_share_below < 0.015) == (0, True)
    assert arm.near == len(arm.learning_rates) >= NEEDED_SUCCESSES
    assert arm.near < len(seen) < 3 * arm.near
    rates = [spec.learning_rate for spec in seen]
    assert RELU.low / ABOUT <= min(rates) < 0.6 * RELU.low
    assert 1.7 * RELU.low < max(rates) <= RELU.low * ABOUT
    assert len({spec.seed for spec in seen}) == len(seen)
    failures = {draw(index, RELU, TEMPLATE).seed for index in range(len(seen))}
    assert not failures & {spec.seed for spec in seen}


def test_success_that_is_wrong_is_given_up_before_more_runs() -> None:
    seen, run = success(share=0.9, wrong=1)
    (arm,) = summarise(SUCCESS, [Audited(RELU, audit_success(RELU, TEMPLATE, run))]).under
    assert (arm.wrong, len(seen)) == (1, LOOKS)
    assert arm.wrong_share_below > 0.05


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_success_that_seldom_fires_ends_after_the_first_runs(share: float) -> None:
    seen, run = success(share)
    assert len(audit_success(RELU, TEMPLATE, run)) < FEW
    assert len(seen) == LOOKS


def test_runs_that_look_for_success_end_where_a_failure_may_end_them() -> None:
    seen, run = runner(share=1.0)
    *_, rules = audit_all(TEMPLATE, run)
    assert {spec.ended_by for spec in seen[-LOOKS:]} == {("dead",)}
    assert rules[-1].rule == SUCCESS
    assert (rules[-1].audited, rules[-1].under) == (0, ())
