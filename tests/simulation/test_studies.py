"""Studies on known truth: our search finds the edge, by the rules of the pipeline."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from conftest import ROOT
from lr_ceiling.evidence.audit import NEEDED_SUCCESSES
from lr_ceiling.pipeline import params
from lr_ceiling.report.schemas import AuditReport
from lr_ceiling.search.posterior import Calls, Observation, Tally
from lr_ceiling.search.schedule import PARTS
from lr_ceiling.simulation import studies
from lr_ceiling.simulation.oracles import HIGH, LOW, Oracle, oracle_of
from lr_ceiling.simulation.studies import (
    BUDGET,
    CALLS,
    CONFIRMATIONS,
    INTERVAL,
    LAG,
    digest_of_studies,
    error_of,
    same_search,
    study,
    summarise,
)

SHARP = oracle_of("logistic-0.1")


def test_the_searches_are_those_of_the_params_and_the_audit() -> None:
    search = params.load(ROOT / "params.yaml").search
    bounds = search.range["baseline"]
    assert (bounds.low, bounds.high) == (LOW, HIGH)
    assert (search.interval_decades, search.lag) == (INTERVAL, LAG)
    assert search.confirmations == CONFIRMATIONS
    assert search.budget("baseline-sigmoid") == BUDGET
    rules = AuditReport.read(ROOT / "reports" / "audit.json").rules
    of_arms = [arm for rule in rules for arm in rule.under if rule.rule != "stable"]
    assert {Tally(arm.near, arm.wrong) for arm in of_arms} == {CALLS.failures}
    # As many calls of success as an audit takes, none of them wrong.
    assert Tally(NEEDED_SUCCESSES, 0) == CALLS.successes


@cache
def known(seed: int) -> Mapping[str, float]:
    """A study by the search as it is: a second."""
    return study(SHARP, seed)


def spent(found: Mapping[str, float]) -> float:
    return sum(found[f"cost_{part}"] for part in PARTS)


def test_a_study_lets_one_trial_of_eight_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Observation] = []
    run = Oracle.run

    def noted(*given: Any, **named: Any) -> Observation:
        ran.append(run(*given, **named))
        return ran[-1]

    monkeypatch.setattr(Oracle, "run", noted)
    # Without the fresh seeds that are pooled with a study; a third of the budget suffices.
    monkeypatch.setattr(studies, "verified", lambda *_: [])
    monkeypatch.setattr(studies, "BUDGET", 5.0)
    costs = [spent(study(SHARP, seed)) for seed in range(8)]
    assert sum(costs) == pytest.approx(sum(one.cost for one in ran))
    called = [one for one in ran if one.called]
    assert 0.02 < np.mean([not one.ended for one in called]) < 0.3


def test_a_study_allows_for_wrong_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    sure = sum(known(seed)["cost_edge"] for seed in range(2))
    monkeypatch.setattr(studies, "CALLS", Calls(*[Tally(audited=20, wrong=10)] * 2))
    assert sum(study(SHARP, seed)["cost_edge"] for seed in range(2)) > sure


def test_one_equal_study_is_enough_on_another_kind_of_processor_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [known(seed) for seed in range(2)]
    last_digits = [
        {name: value * (1 + 1e-12) for name, value in one.items()} | {"fit": one["fit"] + 5e-4}
        for one in found
    ]
    one_of_two, neither = [found[0], known(2)], [known(2), known(3)]
    here = digest_of_studies(found)
    for others in (last_digits, one_of_two, neither):
        assert not same_search(digest_of_studies(others), here)
    for older in ("16674a2c199ce0f8", ""):
        assert not same_search(here, older)
    monkeypatch.setattr(studies, "processor", lambda: "another kind")
    for others in (found, last_digits, one_of_two):
        assert same_search(digest_of_studies(others), here)
    assert not same_search(digest_of_studies(neither), here)


def test_a_study_finds_the_edge_and_can_be_repeated() -> None:
    found = [known(seed) for seed in range(4)]
    assert found[1] == study(SHARP, 1)
    assert max(abs(one["lr90_error"]) for one in found) < 0.4
    assert all(one["cost_edge"] <= 15 for one in found)
    assert digest_of_studies(found) == digest_of_studies(found[:2])
    assert digest_of_studies(found) != digest_of_studies(found[1:])
    summary = summarise(SHARP, found)
    assert summary.studies == 4
    assert 0.5 <= summary.coverage_lr90 <= 1
    assert summary.error_decades == error_of([one["lr90_error"] for one in found])
