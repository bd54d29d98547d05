"""A function as a problem."""

from lr_ceiling.problems.outcome import Outcome
from lr_ceiling.problems.problem import CallableProblem


def score(learning_rate: float, seed: int) -> float:
    return 1 / learning_rate + seed


def test_a_function_is_judged_by_its_target() -> None:
    problem = CallableProblem(score, target=2.0, mode="max")
    assert problem(0.5, 0) == Outcome(stable=True, score=2.0, label="stable")
    assert not problem(1.0, 0).stable
    assert problem(1.0, 1).stable


def test_a_function_may_tell_its_version_and_libraries() -> None:
    plain = CallableProblem(score, None, "max")
    assert (plain.version, plain.libraries, plain.horizon) == ("", (), 1)

    def told(learning_rate: float, seed: int) -> bool:
        return True

    told.version, told.libraries = "2", ("numpy",)  # type: ignore[attr-defined]
    problem = CallableProblem(told, None, "max")
    assert (problem.version, problem.libraries) == ("2", ("numpy",))
