"""The oracles are what they say."""

import numpy as np
import pytest

from lr_ceiling.search.posterior import Observation
from lr_ceiling.simulation.oracles import LATTICE, ORACLES, Oracle, oracle_of

SHARP = oracle_of("logistic-0.1")


@pytest.mark.parametrize("oracle", ORACLES, ids=lambda oracle: oracle.name)
def test_an_oracle_gives_probabilities_and_has_the_edges_that_exist(oracle: Oracle) -> None:
    p = oracle.shape(LATTICE)
    assert ((p >= 0) & (p <= 1)).all()
    theta = -2.0
    for target in (0.5, 0.9):
        u = oracle.edge(theta, target)
        assert oracle.exists(target) == (p.max() >= target) == np.isfinite(u)
        if not oracle.exists(target):
            continue
        around = oracle.shape(np.array([u - 0.002, u + 0.002]) - theta)
        assert around[1] < target <= around[0] + 1e-6
    assert oracle.edge(theta, 0.9) <= oracle.edge(theta, 0.5)


@pytest.mark.parametrize("maximum", [0.85, 0.7, 0.4])
def test_an_oracle_that_never_surely_trains_has_no_lr90(maximum: float) -> None:
    oracle = oracle_of(f"at-most-{maximum}")
    assert oracle.shape(LATTICE).max() == pytest.approx(maximum)
    assert oracle.edge(-2, 0.9) == -np.inf
    assert oracle.exists(0.5) == (maximum > 0.5)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_a_logistic_oracle_is_as_wide_as_its_name_says(width: float) -> None:
    oracle = next(oracle for oracle in ORACLES if oracle.name == f"logistic-{width:g}")
    assert oracle.edge(0, 0.1) - oracle.edge(0, 0.9) == pytest.approx(width, abs=0.003)
    assert oracle.transition_decades == width


def test_a_run_is_called_and_ended_where_that_is_cheap() -> None:
    rng = np.random.default_rng(0)
    success = Observation(-3.0, True, called="success", ended=True, cost=0.4)
    failure = Observation(-1.0, False, called="failure", ended=True, cost=0.1)
    for u, ended in ((-3.0, success), (-1.0, failure)):
        assert SHARP.run(u, -2, rng) == ended
        let_on = SHARP.run(u, -2, rng, let_run_on=True)
        assert let_on == ended._replace(ended=False, cost=1.0)
    wide = next(oracle for oracle in ORACLES if oracle.name == "logistic-0.8")
    assert wide.run(2.0, -2, rng) == Observation(2.0, False)
    assert wide.run(-4.0, -2, rng) == Observation(-4.0, True)


def test_a_trial_is_an_observation() -> None:
    assert isinstance(SHARP.run(-3.0, -2, np.random.default_rng(0)), Observation)
