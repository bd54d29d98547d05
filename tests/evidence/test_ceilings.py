"""The ceilings of all arms in one file."""

import numpy as np
import pytest

from conftest import small_study
from lr_ceiling.evidence.ceilings import ceilings, ratios
from lr_ceiling.evidence.records import Arm
from lr_ceiling.search.ceiling import Ceiling
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves


def test_the_file_has_an_arm_each_and_a_ratio_an_activation() -> None:
    us = np.linspace(-3, -1, 40)
    trials = [Observation(u, stable=u < -1.95) for u in us]
    belief = Ceiling(Posterior(curves(Range(-4, 0, -6, 2)), trials)).belief()
    arms: list[Arm] = [("baseline", "relu"), ("batchnorm", "relu")]
    studies = {arm: small_study(variant=arm[0]) for arm in arms}
    beliefs = dict.fromkeys(arms, belief)
    found = ceilings(studies.values(), ratios(studies, beliefs))
    assert [arm["variant"] for arm in found["arms"]] == ["baseline", "batchnorm"]
    assert "key" not in found["arms"][0]
    (only,) = found["ratios"]
    assert only["activation"] == "relu"
    assert only["lr90"]["estimate"] == pytest.approx(1, rel=0.05)
    (first, *_) = arms
    assert ratios({first: studies[first]}, beliefs) == []
