"""The headline claims what its verdict allows; the takeaways are of the numbers."""

from dataclasses import replace

import pytest

from conftest import arm_of, small_run, small_usable
from lr_ceiling.evidence.records import ArmCeilings, AsSaved, Claim, Ratio
from lr_ceiling.mnist.specification import Activation, Variant
from lr_ceiling.report.headline import headline, takeaways
from lr_ceiling.search.estimates import NOTHING, Estimate


def arm(variant: Variant, activation: Activation, **changes: object) -> ArmCeilings:
    found = arm_of(small_run(variant=variant, activation=activation))
    return found.model_copy(update=changes)


def between(estimate: float | None, low: float | None, high: float | None) -> Estimate:
    return Estimate(estimate=estimate, ci95=(low, high))


def ratio(lr90: Estimate, **changes: object) -> Ratio:
    return Ratio(activation="relu", lr50=NOTHING, lr90=lr90).model_copy(update=changes)


def claim(verdict: str, holds_together: bool | None = None) -> Claim:
    return Claim(
        id="higher-learning-rate-relu",
        statement="",
        verdict=verdict,
        statistic="",
        estimate=None,
        ci95=(None, None),
        n=4,
        holds_together=holds_together,
    )


ARMS = [arm("baseline", "relu"), arm("batchnorm", "relu")]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("supported", "batch norm trains at higher learning rates"),
        ("not supported", "batch norm does not train at higher learning rates"),
        (
            "inconclusive",
            "the runs do not decide whether batch norm trains at higher learning rates",
        ),
    ],
)
def test_a_line_claims_what_its_verdict_allows(verdict: str, words: str) -> None:
    """A ratio of 10 (0.3 to 81) was told as a fact, whose claim was inconclusive."""
    (line,) = headline(ARMS, [ratio(between(10.0, 0.3, 81.0))], [claim(verdict)])
    assert line.verdict == verdict
    assert line.text == f"With relu, {words}: up to 10 times the baseline's (0.3 to 81)."
    assert line.notes == ()


def test_no_accuracy_lost_up_to_is_told_as_far_as_it_is_bounded() -> None:
    for usable, words in (
        (between(24.0, 17.0, 34.0), "; no accuracy lost up to 24 times the baseline's (17 to 34)."),
        (between(None, 3.2, None), "; no accuracy lost up to at least 3.2 times the baseline's."),
        (NOTHING, "."),
        (None, "."),
    ):
        found = ratio(between(84.0, 50.0, 110.0), usable=usable)
        (line,) = headline(ARMS, [found], [claim("supported")])
        assert line.text == (
            "With relu, batch norm trains at higher learning rates: up to 84 times the baseline's "
            f"(50 to 110){words}"
        )


def test_a_ratio_that_grows_with_the_budget_is_no_headline() -> None:
    beyond = arm("batchnorm", "relu", lr90=between(None, 4085.0, None), labels={"stable": 2})
    found = ratio(between(None, 230_000.0, None))
    (line,) = headline([ARMS[0], beyond], [found], [claim("supported")])
    assert line.text == (
        "With relu, batch norm trains at higher learning rates: no ceiling found up to 4,100, 2 of "
        "2 stable; the baseline trains up to 0.01 (0.005 to 0.02)."
    )


def test_where_some_runs_failed_or_none_trains_often_the_line_is_a_sentence() -> None:
    beyond = {"lr90": between(None, 31_000.0, None), "trials": 12}
    failed = arm("batchnorm", "relu", **beyond, labels={"slow": 1, "stable": 11})
    never = arm("baseline", "relu", checks=replace(ARMS[0].checks, lr90_exists=0.1))
    (line,) = headline([never, failed], [ratio(NOTHING)], [claim("inconclusive")])
    assert "it trains up to at least 31,000, 11 of 12 stable; the baseline: no rate trains" in (
        line.text
    )


def test_what_is_in_doubt_is_said() -> None:
    found = ratio(between(10.0, 0.3, 81.0), exists=0.634)
    (line,) = headline(ARMS, [found], [claim("supported", holds_together=False)])
    assert line.notes == (
        "That both train nine times in ten at some learning rate is about as likely as not (63%).",
        "Tested together with all claims of this page, it would be inconclusive.",
    )
    sure = found.model_copy(update={"exists": 0.998})
    (line,) = headline(ARMS, [sure], [claim("supported", holds_together=True)])
    assert line.notes == ()


def test_without_a_pair_each_network_has_a_line_that_claims_nothing() -> None:
    (line,) = headline([arm("baseline", "relu")], [], [])
    assert line.verdict is None
    assert line.text == (
        "baseline, relu: trains up to 0.01 (0.005 to 0.02); "
        "no accuracy lost up to 0.006 (0.003 to 0.012)."
    )


def test_what_to_set_is_the_lower_limit_of_no_accuracy_lost_up_to() -> None:
    unknown = arm("batchnorm", "relu", usable=small_usable(estimate=None, ci95=(None, None)))
    what, beyond = takeaways([ARMS[0], unknown])
    assert what.lead == "What to set"
    assert what.text.startswith("At most 0.003 (baseline, relu): the lower limits of")
    assert "within one point of" in what.text
    assert "widest for baseline, relu: from 0.006 to 0.01." in beyond.text
    what, beyond = takeaways([unknown])
    assert what.text == "Up to where no accuracy is lost, so few runs do not tell."
    assert beyond.text == "How far apart the two limits lie, the runs do not tell."


def test_what_holds_of_saved_models_is_told_of_batch_norm() -> None:
    saved = AsSaved(lr50=NOTHING, lr90=NOTHING, usable=small_usable(ci95=(0.001, 0.009)), lag=None)
    *_, last = takeaways([ARMS[0], arm("batchnorm", "relu", as_saved=saved)])
    assert "lose no accuracy up to 0.006 (0.001 to 0.009) (batch norm, relu)." in last.text
