"""The ceilings of all arms, over one another and over what theory says."""

import numpy as np
import pytest

from conftest import small_study
from lr_ceiling.evidence.ceilings import held_against_theory, ratios
from lr_ceiling.evidence.records import Arm
from lr_ceiling.search.estimates import NOTHING, Estimate, Estimates
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves

ARMS: list[Arm] = [("baseline", "relu"), ("batchnorm", "relu")]


def test_there_is_a_ratio_of_each_activation_with_both_networks() -> None:
    us = np.linspace(-3, -1, 40)
    trials = [Observation(u, stable=u < -1.95) for u in us]
    belief = Estimates(Posterior(curves(Range(-4, 0, -6, 2)), trials)).belief()
    studies = {arm: small_study(variant=arm[0]) for arm in ARMS}
    beliefs = dict.fromkeys(ARMS, belief)
    (only,) = ratios(studies, beliefs)
    assert only.activation == "relu"
    assert only.lr90.estimate == pytest.approx(1, rel=0.05)
    (first, *_) = ARMS
    assert ratios({first: studies[first]}, beliefs) == []


def test_an_arm_of_the_file_is_its_study_without_the_key_and_with_theory() -> None:
    study = small_study(lr90={"estimate": None, "ci95": (0.01, None)})
    critical = {
        "initial": {"median": 0.005, "least": 0.004, "most": 0.006, "n": 3},
        "trained": {"median": None, "least": None, "most": None, "n": 0},
        "bias": {"logit_difference": 1e-12, "gradient_ratio": 2e-13, "n": 3},
    }
    arm = held_against_theory(study, critical)
    written = arm.model_dump()
    assert {**written, "key": study.key} == {**study.model_dump(), "theory": written["theory"]}
    assert list(written)[-1] == "theory"
    initial, trained = arm.theory.initial, arm.theory.trained
    assert (initial.median, initial.least, initial.most, initial.n) == (0.005, 0.004, 0.006, 3)
    assert initial.lr90_over_median == Estimate(estimate=None, ci95=(2.0, None))
    assert initial.lr50_over_median == Estimate(estimate=2.0, ci95=(1.0, 4.0))
    assert trained.lr90_over_median == trained.lr50_over_median == NOTHING
