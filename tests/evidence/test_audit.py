"""The audit of early calls: which runs are drawn, when it stops, what it says."""

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from conftest import ROOT, small_run, small_spec
from lr_ceiling.evidence.audit import (
    GROUNDS,
    LOOKS,
    NEEDED,
    Run,
    audit,
    audit_all,
    audit_rows,
    draw,
    in_words,
    most_wrong,
    summarise,
)
from lr_ceiling.evidence.records import AuditedRule
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.problems.judge import Label
from lr_ceiling.report.schemas import AuditReport

TEMPLATE = small_spec("d")


def runner(share: float, label: Label = "dead") -> tuple[list[RunSpec], Run]:
    """Runs, a share of which are called dead."""
    seen: list[RunSpec] = []

    def run(specs: Sequence[RunSpec]) -> Sequence[RunSummary]:
        seen.extend(specs)
        return [
            small_run(**spec.model_dump(), label=label, called="dead", called_at=10)
            if np.random.default_rng(spec.seed).random() < share
            else small_run(**spec.model_dump(), label="slow")
            for spec in specs
        ]

    return seen, run


def test_it_ends_with_as_many_calls_as_a_bound_of_5_percent_needs() -> None:
    seen, run = runner(share=0.7)
    runs = audit("dead", GROUNDS["dead"], TEMPLATE, run)
    assert len(runs) >= NEEDED
    assert NEEDED / 0.9 < len(seen) < NEEDED / 0.5
    assert all(one.called == "dead" for one in runs)


def test_a_rule_that_seldom_fires_is_given_up() -> None:
    seen, run = runner(share=0.1)
    assert len(audit("lost", GROUNDS["lost"], TEMPLATE, run)) < 0.25 * LOOKS
    assert len(seen) == LOOKS


@pytest.mark.parametrize("rule", GROUNDS)
def test_runs_are_drawn_on_their_ground_with_seeds_of_their_own(rule: Label) -> None:
    for ground in GROUNDS[rule]:
        specs = [draw(rule, index, ground, TEMPLATE) for index in range(50)]
        assert len({spec.seed for spec in specs}) == 50
        rates = np.array([spec.learning_rate for spec in specs])
        assert ((ground.low <= rates) & (rates <= ground.high)).all()
        assert np.median(rates) == pytest.approx((ground.low * ground.high) ** 0.5, rel=2)
        assert {(spec.variant, spec.activation, spec.ended_by) for spec in specs} == {
            (ground.variant, ground.activation, ())
        }
        assert draw(rule, 7, ground, TEMPLATE) == specs[7]


@pytest.mark.parametrize(("calls", "wrong"), [(59, 0), (59, 1), (1, 1), (0, 0)])
def test_the_limit_is_clopper_and_pearsons(calls: int, wrong: int) -> None:
    runs = [
        small_run(seed=seed, label="stable" if seed < wrong else "dead", called="dead")
        for seed in range(calls)
    ]
    rule = summarise("dead", runs)
    assert (rule.audited, rule.wrong) == (calls, wrong)
    limit = (
        stats.binomtest(wrong, calls, alternative="less").proportion_ci(0.95).high if calls else 1
    )
    assert rule.wrong_share_below == pytest.approx(limit, abs=1e-4)
    assert rule.arms == ({"baseline-relu": calls} if calls else {})


def test_with_none_wrong_the_number_needed_bounds_the_error_at_5_percent() -> None:
    runs = [small_run(seed=seed, label="dead", called="dead") for seed in range(NEEDED)]
    assert summarise("dead", runs).wrong_share_below < 0.05
    assert summarise("dead", runs[1:]).wrong_share_below > 0.05


def test_all_rules_are_told_at_any_time_and_none_that_was_known_is_lost() -> None:
    known = AuditedRule(
        rule="exploded", audited=59, wrong=0, wrong_share_below=0.0495, arms={"baseline-relu": 59}
    )
    _, run = runner(share=0.7)
    states = list(audit_all(TEMPLATE, run, [known]))
    assert [[rule.rule for rule in rules] for rules in states] == [list(GROUNDS)] * 4
    assert [rules[0].audited >= NEEDED for rules in states] == [False, True, True, True]
    assert states[0][1] == states[1][1] == known
    # Whatever is asked for, dead is called here: the rule's turn replaces what was known.
    assert states[2][1].audited == 0
    assert states[0][2].wrong_share_below == 1


def test_words_and_rows() -> None:
    run = small_run(label="slow", called="dead", called_at=1234)
    assert in_words(run) == "baseline relu lr=0.003 seed=0: called dead after 1,234, then slow"
    assert in_words(small_run()).endswith(": not called, then stable")
    rule = summarise("dead", [run])
    assert audit_rows([rule]) == [("dead", "1", "0", "0.950")]


def test_the_committed_limits_follow_from_the_committed_counts() -> None:
    for rule in AuditReport.read(ROOT / "reports" / "audit.json").rules:
        assert rule.wrong_share_below == round(most_wrong(rule.wrong, rule.audited), 4)
