"""Studies on known truth: the oracles are what they say, and our search and its peers find them."""

from typing import Any

import numpy as np
import pytest

from conftest import ROOT
from lr_ceiling.evidence.records import read_audit
from lr_ceiling.evidence.study import calls_of
from lr_ceiling.pipeline import params
from lr_ceiling.search.ceiling import TARGETS
from lr_ceiling.search.posterior import Calls, Observation
from lr_ceiling.simulation.oracles import (
    BUDGET,
    CALLS,
    CAP,
    HIGH,
    INTERVAL,
    LAG,
    LATTICE,
    LOW,
    ORACLES,
    PEERS,
    Fit,
    Oracle,
    cost_of_error,
    error_of,
    errors_by_cost,
    interval_of_cost,
    study,
    summarise,
)

SHARP = next(oracle for oracle in ORACLES if oracle.name == "logistic-0.1")


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_an_oracle_gives_probabilities_and_has_both_edges(oracle: Oracle) -> None:
    p = oracle.shape(LATTICE)
    assert ((p >= 0) & (p <= 1)).all()
    theta = -2.0
    high, low = oracle.edge(theta, 0.5), oracle.edge(theta, 0.9)
    assert low < high
    for u, target in ((high, 0.5), (low, 0.9)):
        around = oracle.shape(np.array([u - 0.002, u + 0.002]) - theta)
        assert around[1] < target <= around[0] + 1e-6


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_logistic_oracle_is_as_wide_as_its_name_says(width: float) -> None:
    oracle = next(oracle for oracle in ORACLES if oracle.name == f"logistic-{width:g}")
    assert oracle.edge(0, 0.1) - oracle.edge(0, 0.9) == pytest.approx(width, abs=0.003)
    assert oracle.transition_decades == width


def test_the_searches_are_those_of_the_params_and_the_audit() -> None:
    search = params.load(ROOT / "params.yaml").search
    bounds = search.range["baseline"]
    assert (bounds.low, bounds.high) == (LOW, HIGH)
    assert (search.interval_decades, search.lag) == (INTERVAL, LAG)
    assert search.budget("baseline-sigmoid") == BUDGET
    assert calls_of(read_audit(ROOT / "reports" / "audit.json")) == CALLS


def test_a_failure_is_called_and_ended_where_that_is_cheap() -> None:
    rng = np.random.default_rng(0)
    assert SHARP.run(-3.0, -2, rng) == Observation(-3.0, stable=True)
    assert SHARP.run(-1.0, -2, rng) == Observation(-1.0, False, called=True, ended=True, cost=0.1)
    let_on = SHARP.run(-1.0, -2, rng, let_run_on=True)
    assert let_on == Observation(-1.0, False, called=True, ended=False, cost=1.0)
    wide = next(oracle for oracle in ORACLES if oracle.name == "logistic-0.8")
    assert wide.run(2.0, -2, rng) == Observation(2.0, False, called=False, ended=False, cost=1.0)


def test_a_study_lets_one_trial_of_eight_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Observation] = []
    run = Oracle.run

    def noted(*given: Any, **named: Any) -> Observation:
        ran.append(run(*given, **named))
        return ran[-1]

    monkeypatch.setattr(Oracle, "run", noted)
    costs = [study(SHARP, seed)["cost"] for seed in range(8)]
    assert sum(costs) == pytest.approx(sum(one.cost for one in ran))
    called = [one for one in ran if one.called]
    assert 0.02 < np.mean([not one.ended for one in called]) < 0.3


def test_a_study_allows_for_wrong_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    def spent() -> float:
        return sum(study(SHARP, seed)["cost"] for seed in range(4))

    sure = spent()
    monkeypatch.setattr("lr_ceiling.simulation.oracles.CALLS", Calls(audited=20, wrong=10))
    assert spent() > sure


def test_a_study_finds_the_edge_and_can_be_repeated() -> None:
    found = [study(SHARP, seed) for seed in range(4)]
    assert found[1] == study(SHARP, 1)
    assert max(abs(one["lr90_error"]) for one in found) < 0.4
    assert all(one["cost"] <= 15 for one in found)
    summary = summarise(SHARP, found)
    assert summary["studies"] == 4
    assert 0.5 <= summary["coverage_lr90"] <= 1
    assert summary["error_decades"] == error_of([one["lr90_error"] for one in found])


def test_the_fit_of_the_peers_finds_a_curve() -> None:
    rng = np.random.default_rng(0)
    fit = Fit()
    for u in rng.uniform(-4, 0, 400):
        fit.add(SHARP.run(float(u), -1.7, rng))
    assert fit.lr90() == pytest.approx(SHARP.edge(-1.7, TARGETS["lr90"]), abs=0.05)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_gets_nearer_as_it_spends(name: str) -> None:
    assert len(PEERS[name]) >= 5
    make = list(PEERS[name].values())[1]
    errors = np.abs([errors_by_cost(SHARP, make, seed) for seed in range(3)])
    assert errors.shape == (3, CAP)
    assert np.median(errors[:, -1]) < np.median(errors[:, 0])
    assert np.median(errors[:, -1]) < 0.2


def test_the_cost_of_an_error_is_where_the_median_stays_below() -> None:
    errors = np.full((3, CAP), 0.01)
    errors[:2, :10] = 1
    errors[:, 4] = 0.001
    assert cost_of_error(errors, 0.05) == 11
    assert cost_of_error(errors, 2) == 1
    assert cost_of_error(errors, 0.0001) is None


def test_a_cost_has_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(100, CAP)) / np.sqrt(np.arange(1, CAP + 1))
    low, high = interval_of_cost(errors, 0.1)
    cost = cost_of_error(errors, 0.1)
    assert low is not None
    assert high is not None
    assert cost is not None
    assert low < cost < high
    assert interval_of_cost(errors, 0.1) == (low, high)
    assert interval_of_cost(errors, 0.01) == (None, None)
    assert interval_of_cost(np.zeros((5, CAP)), 0.1) == (1, 1)


def test_a_trial_is_an_observation() -> None:
    assert isinstance(SHARP.run(-3.0, -2, np.random.default_rng(0)), Observation)
