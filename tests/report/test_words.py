"""A ceiling in words."""

from dataclasses import replace

import pytest

from conftest import small_study
from lr_ceiling.report.words import in_words, interval
from lr_ceiling.search.ceiling import NOTHING, Estimate


@pytest.mark.parametrize(
    ("ci95", "estimate", "words"),
    [
        ((0.01, 0.02), 0.015, "lr90 0.015 (95% interval 0.01 to 0.02)"),
        ((5.0, None), None, "lr90 is at least 5: the trials don't bound it from above"),
        ((None, 5.0), None, "lr90 is at most 5: the trials don't bound it from below"),
        ((None, None), None, "lr90 is not bounded by so few trials"),
    ],
)
def test_words(ci95: tuple[float, float], estimate: float | None, words: str) -> None:
    study = small_study(lr90=Estimate(estimate=estimate, ci95=ci95))
    assert in_words(study) == words


def test_words_for_nothing() -> None:
    checks = small_study().checks
    nothing = replace(checks, lr50_exists=0.1, lr90_exists=0.1)
    none = small_study(lr90=NOTHING, highest_stable=None, checks=nothing)
    assert in_words(none) == "no trainable learning rate"
    unsure = replace(checks, lr90_exists=0.1)
    some = small_study(lr90=NOTHING, checks=unsure)
    assert in_words(some) == "no learning rate is stable with probability 0.9"
    assert interval(NOTHING) == "? (? to ?)"
