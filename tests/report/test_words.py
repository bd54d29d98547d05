"""Ceilings, ratios and claims in words."""

from dataclasses import replace

import pytest

from conftest import arm_of, small_run, small_study, small_surest, small_usable
from lr_ceiling.evidence.records import ArmCeilings, Claim, Pooled, Ratio
from lr_ceiling.report.words import (
    CLAIM_COLUMNS,
    bounded,
    claim_row,
    decimal,
    figures_of,
    in_short,
    in_times,
    in_words,
    interval,
    likely,
    lr90_times,
    no_accuracy_lost_up_to,
    over,
    plain,
    trains_up_to,
)
from lr_ceiling.search.estimates import NOTHING, Estimate


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
    assert in_words(some) == (
        "no rate trains nine times in ten (P = 0.90); the best is 0.004, with probability "
        "0.95 (0.8 to 0.99)"
    )
    assert interval(NOTHING) == "? (? to ?)"


@pytest.mark.parametrize(
    ("estimate", "ci95", "words"),
    [
        (3456.0, (2212.0, 5987.0), "3,500 times (2,200 to 6,000)"),
        (0.5, (0.25, 1.04), "0.5 times (0.25 to 1)"),
        (None, (12.3, None), "at least 12 times"),
        (None, (None, 9.96), "at most 10 times"),
        (None, (None, None), "a number of times that the trials don't bound"),
    ],
)
def test_a_ratio_in_words(
    estimate: float | None, ci95: tuple[float | None, float | None], words: str
) -> None:
    assert in_times(Estimate(estimate=estimate, ci95=ci95)) == words


def test_a_learning_rate_in_words() -> None:
    assert (
        in_short(Estimate(estimate=0.00434, ci95=(0.0024, 0.00506))) == "0.0043 (0.0024 to 0.0051)"
    )
    assert in_short(Estimate(estimate=None, ci95=(79_430, None))) == "at least 79,000"
    assert in_short(Estimate(estimate=None, ci95=(None, None))) == "not bounded"


@pytest.mark.parametrize(
    ("estimate", "ci95", "words"),
    [
        (2.7228, (2.3733, 2.9814), "2.72 (2.37 to 2.98)"),
        (-0.0315, (-0.0569, 0.0), "-0.0315 (-0.0569 to 0)"),
        (0.0, (0.0, 4.0), "0 (0 to 4)"),
        (None, (1711000.0, None), "at least 1,710,000"),
        (None, (None, 0.00037), "at most 0.00037"),
        (5.0, (2.0, None), "at least 2"),
        (3.5e-12, (None, None), "3.5e-12 (no interval)"),
        (None, (None, None), "not bounded"),
    ],
)
def test_a_claims_figures_in_words(
    estimate: float | None, ci95: tuple[float | None, float | None], words: str
) -> None:
    claim = Claim(id="", statement="", verdict="", statistic="", estimate=estimate, ci95=ci95, n=1)
    assert figures_of(claim) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.0, "1"), (0.00249, "0.00249"), (3.61e-05, "0.0000361"),
        (9.999999999999999e-06, "0.00001"), (3.61e-07, "less than 0.000001"), (-0.5, "-0.5"),
        (0.0, "0"), (234_000.0, "234,000"),
    ],
)  # fmt: skip
def test_a_number_without_an_exponent(value: float, words: str) -> None:
    assert plain(value) == words
    assert decimal(3.61e-07) == "0.000000361"


@pytest.mark.parametrize(
    ("ci95", "estimate", "words"),
    [
        ((0.00001, 0.3), 0.002, "0.002 steps (0.00001 to 0.3)"),
        ((2.0, None), None, "at least 2 steps"),
        ((2.0, None), 5.0, "at least 2 steps"),
        ((None, 2.0), None, "at most 2 steps"),
        ((None, None), 2.0, "2 steps (no interval)"),
        ((None, None), None, "not bounded"),
    ],
)
def test_an_estimate_is_told_as_far_as_it_is_bounded(
    ci95: tuple[float | None, float | None], estimate: float | None, words: str
) -> None:
    assert bounded(Estimate(estimate=estimate, ci95=ci95), unit=" steps") == words


def test_how_likely_in_a_word_and_in_percent() -> None:
    assert [likely(p) for p in (1.0, 0.994, 0.9572, 0.7, 0.5, 0.2, 0.01, 0.001)] == [
        "almost certain (over 99%)",
        "almost certain (99%)",
        "very likely (96%)",
        "likely (70%)",
        "about as likely as not (50%)",
        "unlikely (20%)",
        "very unlikely (1%)",
        "very unlikely (under 1%)",
    ]


def test_a_claim_is_a_row_of_its_id_figures_n_and_verdict() -> None:
    claim = Claim(id="faster-relu", statement="", verdict="supported", statistic="",
                  estimate=2.0, ci95=(1.5, None), n=24)  # fmt: skip
    assert claim_row(claim) == ("faster-relu", "at least 1.5", "24", "supported", "-")
    assert len(claim_row(claim)) == len(CLAIM_COLUMNS)
    for holds, word in ((True, "holds"), (False, "does not hold")):
        assert claim_row(claim.model_copy(update={"holds_together": holds}))[-1] == word


def test_a_ratio_of_lr90_says_how_probable_it_is_that_there_is_one() -> None:
    found = Ratio(activation="relu", lr50=NOTHING, exists=0.634,
                  lr90=Estimate(estimate=10.0, ci95=(0.3, 81.0)))  # fmt: skip
    assert lr90_times(found) == "10 times (0.3 to 81), both exist: P = 0.63"
    assert lr90_times(found.model_copy(update={"exists": None})) == "10 times (0.3 to 81)"


def test_how_many_times_theory_in_a_few_words() -> None:
    assert over(Estimate(estimate=2.0, ci95=(1.0, 4.0))) == "2 times (1 to 4)"
    assert over(Estimate(estimate=None, ci95=(2.0, None))) == "at least 2 times"
    assert over(NOTHING) == "-"


def arm(**changes: object) -> ArmCeilings:
    return arm_of(small_run()).model_copy(update=changes)


def test_trains_up_to_is_lr90_or_how_far_no_ceiling_was_found() -> None:
    assert trains_up_to(arm()) == "0.01 (0.005 to 0.02)"
    beyond = {"lr90": Estimate(estimate=None, ci95=(31_234.0, None)), "trials": 12}
    assert trains_up_to(arm(**beyond, labels={"stable": 12})) == (
        "no ceiling found up to 31,000, 12 of 12 stable"
    )
    assert trains_up_to(arm(**beyond, labels={"slow": 1, "stable": 11})) == (
        "at least 31,000, 11 of 12 stable"
    )
    below = arm(lr90=Estimate(estimate=None, ci95=(None, 0.3)), labels={"dead": 12})
    assert trains_up_to(below) == "at most 0.3"
    assert trains_up_to(arm(lr90=NOTHING)) == "not bounded"


def test_where_no_rate_trains_nine_times_in_ten_it_is_said_with_its_probability() -> None:
    checks = replace(small_study().checks, lr90_exists=0.12)
    beyond = Estimate(estimate=None, ci95=(5.0, None))
    assert trains_up_to(arm(checks=checks, lr90=beyond)) == (
        "no rate trains nine times in ten (P = 0.88); the best is 0.004, with probability "
        "0.95 (0.8 to 0.99)"
    )


def test_all_runs_of_an_arm_are_what_is_told_where_they_were_pooled() -> None:
    pooled = Pooled(
        lr50=NOTHING,
        lr90=Estimate(estimate=0.015, ci95=(0.012, 0.017)),
        exists=0.99,
        usable=small_usable(estimate=0.008, ci95=(0.007, 0.009)),
        surest=small_surest(),
        fit=0.5,
        widened=False,
        runs={"search": 2, "verification": 60},
        seeds=62,
        stable=60,
        without={},
        left_out=(),
    )
    assert trains_up_to(arm(pooled=pooled)) == "0.015 (0.012 to 0.017)"
    beyond = pooled.model_copy(update={"lr90": Estimate(estimate=None, ci95=(31_234.0, None))})
    assert trains_up_to(arm(pooled=beyond)) == "at least 31,000, 60 of 62 stable"
    assert no_accuracy_lost_up_to(arm(pooled=pooled)) == "0.008 (0.007 to 0.009)"
    doubtful = pooled.model_copy(update={"exists": 0.3})
    assert trains_up_to(arm(pooled=doubtful)).startswith(
        "no rate trains nine times in ten (P = 0.70); the best is 0.004"
    )
    assert no_accuracy_lost_up_to(arm()) == "0.006 (0.003 to 0.012)"
    unbounded = small_usable(estimate=None, ci95=(None, None), reason="too few")
    assert no_accuracy_lost_up_to(arm(usable=unbounded)) == "not bounded"
