"""The answer: its numbers, its words, and what is said where there is none."""

import json
import math

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.study import Study
from optuna.trial import create_trial

from lr_ceiling.errors import StudyError
from lr_ceiling.search.ceiling import LOSS, Ceiling, ceiling_of
from lr_ceiling.search.estimates import LIKELY, SURE
from lr_ceiling.search.posterior import Observation
from lr_ceiling.search.sampler import EXPECTED, OBSERVATION, PART

SPACE = FloatDistribution(1e-4, 10, log=True)
EDGE = [(1e-3, True), (0.01, True), (0.03, True), (0.05, True), (0.08, False), (0.1, False)]
MORE = [(0.06, True), (0.07, False), (0.055, True), (0.3, False), (0.05, True), (0.02, True)]


def study_of(trials: list[tuple[float, bool]]) -> Study:
    study = optuna.create_study(direction="maximize")
    for rate, stable in trials:
        trial = create_trial(
            params={"lr": rate}, distributions={"lr": SPACE}, value=float(stable),
            user_attrs={"label": "stable" if stable else "dead"},
        )  # fmt: skip
        study.add_trial(trial)
    return study


@pytest.fixture(scope="module")
def ceiling() -> Ceiling:
    return ceiling_of(study_of(EDGE + MORE))


def test_the_answer_is_a_number_with_an_interval(ceiling: Ceiling) -> None:
    low, high = ceiling.lr90.ci95
    assert low is not None
    assert high is not None
    assert ceiling.lr90.estimate is not None
    assert 0.005 < low < ceiling.lr90.estimate < high < 0.1
    assert ceiling.reason is None
    assert 0.5 < ceiling.exists < 1
    assert str(ceiling) == f"trains up to {ceiling.lr90.in_words(digits=3)}; 12 trials"
    assert repr(ceiling) == f"<Ceiling: {ceiling}>"


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0.05, 0.95), min_size=2, max_size=4, unique=True).map(sorted))
def test_who_asks_for_more_gets_less(asked: list[float]) -> None:
    ceiling = ceiling_of(study_of(EDGE + MORE))
    found = [ceiling.at(p).estimate for p in asked]
    known = [one for one in found if one is not None]
    assert known == sorted(known, reverse=True)


def test_probability_and_rate_are_each_others_way_back(ceiling: Ceiling) -> None:
    rate = ceiling.lr50.estimate
    assert rate is not None
    middle = ceiling.probability(rate)
    assert middle.estimate is not None
    assert 0.3 < middle.estimate < 0.7
    sure = ceiling.probability(0.001).estimate
    hopeless = ceiling.probability(5).estimate
    assert sure is not None
    assert hopeless is not None
    assert sure > 0.9 > 0.1 > hopeless


@pytest.mark.parametrize("p", [0, 1, -1, math.nan])
def test_a_probability_lies_between_its_ends(p: float, ceiling: Ceiling) -> None:
    with pytest.raises(ValueError, match=f"p is {p}: it must lie between 0 and 1"):
        ceiling.at(p)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf])
def test_a_learning_rate_is_above_zero(rate: float, ceiling: Ceiling) -> None:
    with pytest.raises(ValueError, match=f"learning_rate is {rate}: it must be above 0"):
        ceiling.probability(rate)


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([(0.01, True), (1, True), (9, True)], r"no ceiling found up to 9: 3 of 3 runs were"),
        ([(1, False), (0.01, False)], r"no run was stable: 2 of 2 failed between 0\.01 and 1"),
        ([(0.01, True), (0.1, True), (1, True), (5, True), (9, False)], r"don't bound it from"),
        (
            [(rate, index // 4 % 2 == 0) for index, rate in enumerate((0.01, 0.02, 0.05, 0.1) * 6)],
            r"there is probably no learning rate that is stable nine times in ten",
        ),
    ],
    ids=["all stable", "none stable", "one side", "luck"],
)
def test_why_there_is_no_number_is_told(trials: list[tuple[float, bool]], reason: str) -> None:
    ceiling = ceiling_of(study_of(trials))
    assert ceiling.lr90.estimate is None
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(ceiling.reason)
    assert ceiling.reason is not None
    assert str(ceiling).endswith(ceiling.reason)


def test_json_has_null_and_no_nan() -> None:
    told = json.loads(ceiling_of(study_of([(1, False)])).to_json(), parse_constant=pytest.fail)
    assert told["lr90"]["estimate"] is None
    assert told["lr90"]["ci95"][0] is None
    assert (told["trials"], told["stable"], told["full_runs"]) == (1, 0, 1.0)


def test_the_trials_are_a_table_with_what_their_runs_tell(ceiling: Ceiling) -> None:
    table = ceiling.trials
    assert list(table.columns) == ["learning_rate", "stable", "cost", "label"]
    assert list(table["learning_rate"]) == [rate for rate, _ in EDGE + MORE]
    assert list(table["label"][:6]) == ["stable"] * 4 + ["dead"] * 2


def test_a_notebook_shows_a_table(ceiling: Ceiling) -> None:
    html = ceiling._repr_html_()
    assert html.startswith("<table>")
    assert str(ceiling.lr90.in_words(digits=3)) in html


def test_the_range_that_was_expected_is_kept_with_the_study() -> None:
    study = study_of(EDGE)
    study.set_user_attr(EXPECTED, [1e-3, 1e-2])
    expecting = ceiling_of(study).estimates.posterior.curves.bounds
    assert (expecting.low, expecting.high) == (-3, -2)
    assert (expecting.lowest, expecting.highest) == (-4, 1)


def test_a_study_of_another_form_is_refused() -> None:
    empty = optuna.create_study(direction="maximize")
    with pytest.raises(StudyError, match=r"the study's parameters are: none\. A ceiling has exac"):
        ceiling_of(empty)
    with pytest.raises(StudyError, match="the study's direction is minimize"):
        ceiling_of(optuna.create_study())
    empty.ask({"lr": FloatDistribution(0.1, 1)})
    with pytest.raises(StudyError, match=r"lr is .*: it must be log-uniform"):
        ceiling_of(empty)
    single = optuna.create_study(direction="maximize")
    single.ask({"lr": FloatDistribution(0.1, 0.1, log=True)})
    with pytest.raises(StudyError, match=r"lr is 0\.1 in each trial: a ceiling needs a range"):
        ceiling_of(single)
    two = study_of(EDGE)
    two.ask({"lr": FloatDistribution(1e-3, 10, log=True)})
    with pytest.raises(StudyError, match="lr has several ranges in this study"):
        ceiling_of(two)


def test_scores_that_miss_the_target_are_told() -> None:
    study = study_of([(1, False), (0.01, False)])
    trial = create_trial(
        params={"lr": 0.1}, distributions={"lr": SPACE}, value=0.0, user_attrs={"score": 0.81}
    )
    study.add_trial(trial)
    reason = ceiling_of(study).reason
    assert reason is not None
    assert reason.endswith("failed between 0.01 and 1; their scores are 0.81 to 0.81")


def graded(us: list[float], loss: float | None) -> Ceiling:
    """A study that was told scores: trains below -1.5, and loses from -2.5 on."""
    study = optuna.create_study(direction="maximize")
    for u in us:
        seen = Observation(u, u < -1.5, score=None if u >= -1.5 else 0.8 - 0.1 * max(u + 2.5, 0))
        trial = create_trial(
            params={"lr": 10**u}, distributions={"lr": SPACE}, value=float(seen.stable),
            user_attrs={OBSERVATION: list(seen), PART: "edge"},
        )  # fmt: skip
        study.add_trial(trial)
    study.set_user_attr(LOSS, loss)
    return ceiling_of(study)


def test_a_ceiling_that_may_not_exist_is_told_with_its_probability() -> None:
    found = ceiling_of(study_of(EDGE + MORE + [(0.002, False)]))
    assert LIKELY < found.exists < SURE
    assert found.reason is None
    doubt = f", if any learning rate trains nine times in ten (probability {found.exists:.2f})"
    assert str(found) == f"trains up to {found.lr90.in_words(digits=3)}{doubt}; 13 trials"


US = [float(u) for u in np.linspace(-4, -0.6, 34)]


def test_the_usable_rate_is_told_beside_lr90() -> None:
    found = graded(US, loss=0.02)
    low, high = found.usable.ci95
    assert found.usable.estimate is not None
    assert found.lr90.estimate is not None
    assert low is not None
    assert high is not None
    assert low < 10**-2.3 < high
    assert found.usable.estimate < found.lr90.estimate
    words = found.usable.in_words(digits=3)
    assert str(found) == (
        f"trains up to {found.lr90.in_words(digits=3)}; no accuracy lost up to {words}; 34 trials"
    )
    assert f"<th style='text-align:left'>no accuracy lost up to (usable)</th><td>{words}</td>" in (
        found._repr_html_()
    )
    told = json.loads(found.to_json())["usable"]
    assert (told["estimate"], tuple(told["ci95"]), told["loss"]) == (
        found.usable.estimate, found.usable.ci95, 0.02,
    )  # fmt: skip
    assert told["best"]["score"] == pytest.approx(0.8, abs=0.01)
    assert found.parts == ["edge"] * 34


def test_why_there_is_no_usable_rate_is_told(ceiling: Ceiling) -> None:
    assert ceiling.usable.reason == "not asked for: loss= says how much of the score may be lost"
    few = graded([-3.0, -2.9, -2.8, -1.0, -0.9], loss=0.02)
    assert few.usable.reason == "of the runs that trained 3 tell a score: 5 are needed"
    assert "no accuracy lost" not in str(few)
    assert few.usable.reason in few._repr_html_()
    below = graded([u for u in US if u > -2.4], loss=0.001)
    assert below.usable.ci95[0] is None
    assert "don't bound it from below" in str(below.usable.reason) or (
        "probably none among the rates" in str(below.usable.reason)
    )
