"""What each way spends until its error is as small as our search's."""

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from lr_ceiling.simulation import scoring, studies
from lr_ceiling.simulation.kept import KeptStudies
from lr_ceiling.simulation.oracles import oracle_of
from lr_ceiling.simulation.peers import PEERS
from lr_ceiling.simulation.scoring import (
    CAP,
    compared,
    cost_of_error,
    digest_now,
    interval_of_cost,
    measure,
    simulate,
)
from lr_ceiling.simulation.studies import study, summarise

SHARP = oracle_of("logistic-0.1")
OURS = summarise(SHARP, [study(SHARP, 0)])


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few seeds, and two peers of one configuration."""
    monkeypatch.setattr(scoring, "CHOOSING", 2)
    monkeypatch.setattr(scoring, "MEASURING", 3)
    few = {name: dict(list(PEERS[name].items())[:1]) for name in ("grid", "bisection")}
    monkeypatch.setattr(scoring, "PEERS", few)


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


def test_processes_do_not_change_the_result(tmp_path: Path) -> None:
    summaries = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
            kept = KeptStudies(tmp_path / f"{processes}.json", digest_now(SHARP, executor))
            ours = simulate(SHARP, 2, executor, kept)
            summaries.append(compared(SHARP, ours, executor))
    assert summaries[0] == summaries[1]


def test_only_another_search_has_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments and names void nothing; another search or oracle does."""
    monkeypatch.setattr(studies, "BUDGET", 2.0)
    monkeypatch.setattr(studies, "CONFIRMATIONS", 0)
    with ThreadPoolExecutor(1) as executor:
        digest = digest_now(SHARP, executor)
        assert digest_now(SHARP, executor) == digest
        assert digest_now(oracle_of("logistic-0.2"), executor) != digest
        monkeypatch.setattr(studies, "BUDGET", 3.0)
        assert digest_now(SHARP, executor) != digest


def test_where_no_configuration_gets_there_the_nearest_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = {"far": 0.5, "near": 0.2, "middle": 0.3}
    monkeypatch.setattr(scoring, "PEERS", {"grid": dict.fromkeys(ends)})
    monkeypatch.setattr(
        scoring,
        "_errors",
        lambda executor, oracle, name, configuration, seeds: np.full(
            (len(seeds), CAP), ends[configuration]
        ),
    )
    ours = OURS.model_copy(update={"full_run_equivalents": 10.0})
    with ThreadPoolExecutor(1) as executor:
        found = measure(SHARP, "grid", ours, 0.1, executor)
        reached = measure(SHARP, "grid", ours, 0.25, executor)
    assert (found.configuration, found.at_least) == ("near", 10.0)
    assert found.full_run_equivalents is found.steps_ratio_at_equal_error is None
    assert (reached.configuration, reached.full_run_equivalents) == ("near", 1)
