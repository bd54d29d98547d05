"""Which claims a report holds, in which order, and from which runs."""

from dataclasses import replace

from lr_ceiling.evidence.records import Claim
from lr_ceiling.report.findings import Findings
from lr_ceiling.report.verdicts import claims, runs_of, updated


def claim(name: str, n: int, p_value: float | None = None) -> Claim:
    return Claim(id=name, statement="", verdict="supported", statistic="", estimate=None,
                 ci95=(None, None), n=n, p_value=p_value)  # fmt: skip


def test_a_pair_an_activation_and_a_bias_have_their_claims(findings: Findings) -> None:
    assert [one.id for one in claims(findings)] == [
        "more-accurate-relu-0.01",
        "more-accurate-relu-1",
        "faster-relu-0.01",
        "faster-relu-1",
        "faster-at-best-relu",
        "better-results-relu",
        "higher-learning-rate-relu",
        "bias-unnecessary-relu",
    ]


def test_of_one_variant_there_is_nothing_to_claim(findings: Findings) -> None:
    alone = Findings({("baseline", "relu", 1): findings.cells["baseline", "relu", 1]}, {}, {})
    assert claims(alone) == []


def test_more_runs_take_a_claims_place_and_new_claims_follow() -> None:
    few, more = [claim("a", 1), claim("b", 1)], [claim("c", 9), claim("a", 9)]
    assert updated(few, more) == [claim("a", 9), claim("b", 1), claim("c", 9)]


def test_the_claims_of_a_report_are_one_family() -> None:
    few, more = [claim("a", 1, 0.5), claim("b", 1, 0.03)], [claim("a", 9, 0.04)]
    assert [one.holds_together for one in updated(few[1:], [])] == [True]
    assert [one.holds_together for one in updated(few, more)] == [False, False]


def test_a_ratio_rests_on_the_fresh_seeds_of_both_arms(findings: Findings) -> None:
    # Four trials an arm; the grid's runs count for the usable rate alone.
    assert runs_of(findings) == {"relu": 8}
    assert sum(map(len, findings.cells.values())) == 12
    alone = replace(findings, searches={})
    assert runs_of(alone) == {}
