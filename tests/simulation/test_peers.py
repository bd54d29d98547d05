"""The other ways: their fit finds a curve, and each gets nearer as it spends."""

import numpy as np
import pytest

from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.simulation.oracles import oracle_of
from lr_ceiling.simulation.peers import PEERS, Fit
from lr_ceiling.simulation.scoring import CAP, errors_by_cost

SHARP = oracle_of("logistic-0.1")


def test_the_fit_of_the_peers_finds_a_curve() -> None:
    rng = np.random.default_rng(0)
    fit = Fit()
    for u in rng.uniform(-4, 0, 400):
        fit.add(SHARP.run(float(u), -1.7, rng))
    assert fit.lr90() == pytest.approx(SHARP.edge(-1.7, TARGETS["lr90"]), abs=0.05)


@pytest.mark.parametrize("name", PEERS)
def test_every_peer_gets_nearer_as_it_spends(name: str) -> None:
    # QUEST+ has no more to choose than what it measures.
    assert len(PEERS[name]) >= (2 if name == "questplus" else 5)
    make = list(PEERS[name].values())[1]
    errors = np.abs([errors_by_cost(SHARP, make, seed) for seed in range(3)])
    assert errors.shape == (3, CAP)
    assert np.median(errors[:, -1]) < np.median(errors[:, 0])
    assert np.median(errors[:, -1]) < 0.2
