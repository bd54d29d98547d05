"""The ceilings of all arms, and how many times one is another."""

import numpy as np
import pytest

from conftest import small_study
from lr_ceiling.evidence.ceilings import ratios, with_theory
from lr_ceiling.evidence.records import Arm, CriticalRates, Study, Theory
from lr_ceiling.search.ceiling import NOTHING, Ceiling
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves


def test_an_arm_of_the_file_is_its_study_without_the_key_and_with_theory() -> None:
    rates = CriticalRates(
        median=None, least=None, most=None, n=0, lr90_over_median=NOTHING, lr50_over_median=NOTHING
    )
    study, theory = small_study(), Theory(initial=rates, trained=rates)
    arm = with_theory(study, theory)
    written = arm.model_dump()
    assert list(written) == [*(name for name in Study.model_fields if name != "key"), "theory"]
    assert written == study.model_dump(exclude={"key"}) | {"theory": theory.model_dump()}
    assert (arm.lr90, arm.theory) == (study.lr90, theory)


def test_there_is_a_ratio_for_each_activation_with_both_variants() -> None:
    us = np.linspace(-3, -1, 40)
    trials = [Observation(u, stable=u < -1.95) for u in us]
    belief = Ceiling(Posterior(curves(Range(-4, 0, -6, 2)), trials)).belief()
    arms: list[Arm] = [("baseline", "relu"), ("batchnorm", "relu")]
    studies = {arm: small_study(variant=arm[0]) for arm in arms}
    beliefs = dict.fromkeys(arms, belief)
    (only,) = ratios(studies, beliefs)
    assert only.activation == "relu"
    assert only.lr90.estimate == pytest.approx(1, rel=0.05)
    (first, *_) = arms
    assert ratios({first: studies[first]}, beliefs) == []
