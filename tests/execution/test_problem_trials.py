"""The trials of a problem: runs that are kept as text, and a problem that is sent once."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.errors import ProblemError
from lr_ceiling.execution.problem_trials import Parcel, ProblemTask, ProblemTrials
from lr_ceiling.problems.outcome import Outcome, Run
from lr_ceiling.problems.problem import CallableProblem
from lr_ceiling.search.schedule import Question

QUESTION = Question(low=1e-4, high=1.0, interval_decades=0.3, budget=15.0, seed=0, lag=4)


def small(learning_rate: float, seed: int) -> bool:
    return learning_rate < 0.1


def trials(question: Question = QUESTION) -> ProblemTrials:
    problem = CallableProblem(small, None, "max")
    return ProblemTrials(problem, question, Parcel.of(problem, None))


finite = st.floats(allow_nan=False, allow_infinity=False)
outcomes = st.builds(
    Outcome,
    stable=st.booleans(),
    score=st.none() | finite,
    label=st.text(),
    cost=st.floats(0.01, 2),
    as_saved=st.none() | finite,
    called=st.sampled_from([None, "failure", "success"]),
    ended=st.booleans(),
)


@given(rate=st.floats(1e-9, 1e9), seed=st.integers(0, 2**32 - 1), outcome=outcomes)
def test_a_run_is_the_same_after_a_trip_through_the_journal(
    rate: float, seed: int, outcome: Outcome
) -> None:
    run = Run(rate, seed, outcome)
    known = trials()
    assert known.load(known.dump(run)) == run


@pytest.mark.parametrize("text", ["{}", '{"learning_rate": 1, "seed": 0, "outcome": {"x": 1}}'])
def test_text_of_another_form_is_no_run(text: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        trials().load(text)


def test_the_seeds_follow_from_the_question_but_its_budget() -> None:
    def seeds(question: Question) -> list[int]:
        return [trials(question).task(index, 0.1, "edge").seed for index in range(3)]

    assert len(set(seeds(QUESTION))) == 3
    assert seeds(replace(QUESTION, budget=99.0)) == seeds(QUESTION)
    for change in ({"seed": 1}, {"lag": 2}, {"low": 1e-3}, {"interval_decades": 0.2}):
        assert seeds(replace(QUESTION, **change)) != seeds(QUESTION)


def test_what_is_asked_is_known_whatever_a_problem_calls_its_settings() -> None:
    problem = CallableProblem(small, None, "max")
    problem.settings = {"seed": 7, "depth": 3}
    made_by = ProblemTrials(problem, QUESTION, Parcel.of(problem, None)).made_by()
    assert (made_by["seed"], made_by["depth"]) == (QUESTION.seed, 3)


def test_a_result_is_that_of_its_task_alone() -> None:
    known = trials()
    task = known.task(0, 0.05, "edge")
    run = task(lambda steps: None)
    assert run.outcome.stable
    assert known.is_of(run, task)
    assert not known.is_of(run, known.task(1, 0.05, "edge"))
    assert not known.is_of(run, known.task(0, 0.06, "edge"))


def test_a_problem_is_sent_once_where_files_are_shared(tmp_path: Path) -> None:
    problem = CallableProblem(small, None, "max")
    here, anywhere = Parcel.of(problem, tmp_path), Parcel.of(problem, None)
    assert here.digest == anywhere.digest
    assert (here.content, anywhere.path) == (None, None)
    for parcel in (here, anywhere):
        assert ProblemTask(parcel, 0.05, 1)(lambda steps: None).outcome.stable


@pytest.mark.parametrize(
    ("error", "stable"), [(ZeroDivisionError, False), (FloatingPointError, False), (KeyError, None)]
)
def test_errors_of_the_arithmetic_are_failed_runs_and_others_are_told(
    error: type[Exception], stable: bool | None
) -> None:
    def faulty(learning_rate: float, seed: int) -> bool:
        raise error("so it is")

    task = ProblemTask(Parcel.of(CallableProblem(faulty, None, "max"), None), 0.01, 7)
    if stable is None:
        with pytest.raises(
            ProblemError, match=r"^the run at learning rate 0\.01 with seed 7 raised KeyError: "
        ):
            task(lambda steps: None)
    else:
        assert task(lambda steps: None).outcome.label == "diverged"
