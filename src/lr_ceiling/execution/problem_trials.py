"""The trials of any problem, and their runs as tasks for any executor."""

import hashlib
import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import cast

import cloudpickle
import numpy as np

from lr_ceiling.errors import LrCeilingError, ProblemError
from lr_ceiling.execution.runner import Report
from lr_ceiling.identity import derived_seed, versions
from lr_ceiling.problems.outcome import NOT_FINITE, Outcome, Run, outcome_of
from lr_ceiling.problems.problem import Problem
from lr_ceiling.search.posterior import Observation
from lr_ceiling.search.schedule import Part, Question

# Libraries that affect a search's trials, besides those of the problem.
LIBRARIES = ("lr-ceiling", "numpy", "optuna", "scipy")
# Number of characters that are shown of an exception's message.
TOLD = 300


@dataclass(frozen=True)
class Parcel:
    """A problem, pickled once for the processes that run it.

    If they share the driver's file system, a task holds a path instead of the problem's data.
    """

    digest: str
    content: bytes | None
    path: Path | None

    @classmethod
    def of(cls, problem: Problem, folder: Path | None) -> "Parcel":
        """Pickle `problem`, into `folder` if one is given. Raises ProblemError if that fails."""
        try:
            content = cloudpickle.dumps(problem)
        # Any error that the problem's parts raise when they are pickled.
        except Exception as error:
            raise ProblemError(
                f"the problem can't be sent to other processes ({_told(error)}): open files, "
                "locks and connections inside `run`, not before"
            ) from error
        digest = hashlib.sha256(content).hexdigest()
        if folder is None:
            return cls(digest, content, None)
        path = folder / f"{digest}.problem"
        path.write_bytes(content)
        return cls(digest, None, path)

    def opened(self) -> Problem:
        """The problem. A process unpickles it once."""
        return _opened(self)


# One only, because a problem holds its data.
@lru_cache(maxsize=1)
def _opened(parcel: Parcel) -> Problem:
    content = parcel.content if parcel.path is None else parcel.path.read_bytes()
    return cast(Problem, cloudpickle.loads(content))


@dataclass(frozen=True)
class ProblemTask:
    """One run of a problem."""

    parcel: Parcel
    learning_rate: float
    seed: int

    def __call__(self, report: Report) -> Run:
        """Execute the run.

        An ArithmeticError makes it a failed run. Raises ProblemError for any other exception.
        """
        problem = self._opened()
        try:
            returned = problem.run(self.learning_rate, self.seed, report)
            # A user's Problem may return the same values as a function.
            outcome = outcome_of(returned, None, "max")
        except (ArithmeticError, np.linalg.LinAlgError):
            outcome = NOT_FINITE
        except LrCeilingError as error:
            raise type(error)(f"{error} ({self})") from error
        # A SystemExit would also end the driver.
        except (Exception, SystemExit) as error:
            raise ProblemError(f"{self} raised {_told(error)}") from error
        return Run(self.learning_rate, self.seed, outcome)

    def _opened(self) -> Problem:
        try:
            return self.parcel.opened()
        # Any error that the problem's parts raise when they are unpickled.
        except Exception as error:
            raise ProblemError(
                f"a worker can't open the problem ({_told(error)}): it must be able to import the "
                "problem's modules"
            ) from error

    def __str__(self) -> str:
        return f"the run at learning rate {self.learning_rate:g} with seed {self.seed}"


class ProblemTrials:
    """The trials of a problem. Each trial is one run, with its own learning rate and seed."""

    def __init__(self, problem: Problem, question: Question, parcel: Parcel) -> None:
        self.horizon = problem.horizon
        self._better = problem.better
        self._parcel = parcel
        self._made_by: dict[str, str | float | int] = {
            # Later entries override settings of the problem with the same names.
            **problem.settings,
            **_named(question),
            "the problem's version": problem.version,
            "Python": platform.python_version(),
            **_versions(problem),
        }
        self.aim = question.aim({"version": problem.version, "seed": question.seed})

    def task(self, index: int, learning_rate: float, part: Part) -> ProblemTask:
        """The run of trial `index`."""
        return ProblemTask(self._parcel, learning_rate, derived_seed(self.aim.key, "run", index))

    def is_of(self, result: Run, task: ProblemTask) -> bool:
        """Whether `result` is the result of `task`."""
        return (result.learning_rate, result.seed) == (task.learning_rate, task.seed)

    def observe(self, result: Run) -> Observation:
        """The observation in a run."""
        outcome = result.outcome
        return Observation(
            u=math.log10(result.learning_rate),
            stable=outcome.stable,
            called=outcome.called,
            ended=outcome.ended,
            cost=outcome.cost,
            score=self._better_if_higher(outcome),
        )

    def _better_if_higher(self, outcome: Outcome) -> float | None:
        if outcome.score is None or not outcome.stable or outcome.ended:
            return None
        return outcome.score if self._better == "max" else -outcome.score

    def dump(self, result: Run) -> str:
        """A run as JSON."""
        return json.dumps(asdict(result), allow_nan=False)

    def load(self, text: str) -> Run:
        """The run that `dump` wrote."""
        found = json.loads(text)
        try:
            outcome = Outcome(**found["outcome"])
            return Run(found["learning_rate"], found["seed"], outcome)
        except TypeError as error:
            raise ValueError(text) from error

    def shown(self, result: Run) -> Mapping[str, str | float | int | None]:
        """The seed, the label and the score of a run."""
        outcome = result.outcome
        found: dict[str, str | float | int | None] = {
            "seed": result.seed,
            "label": outcome.label,
            "score": outcome.score,
        }
        as_saved = {} if outcome.as_saved is None else {"as_saved": outcome.as_saved}
        return {**found, **as_saved}

    def made_by(self) -> Mapping[str, str | float | int]:
        """The question without its budget, the problem's version, and the libraries."""
        return self._made_by


# A stored search may be continued with a larger budget, or with more runs of the later parts.
NOT_OF_THE_STUDY = ("budget", "confirmations", "usable_runs", "usable_loss")


def _named(question: Question) -> dict[str, float | int]:
    """The parts of a question that a stored search must share, named as in find_ceiling."""
    names = {"interval_decades": "interval"}
    return {
        names.get(name, name): value
        for name, value in asdict(question).items()
        if name not in NOT_OF_THE_STUDY
    }


def _versions(problem: Problem) -> dict[str, str]:
    try:
        return versions(dict.fromkeys((*LIBRARIES, *problem.libraries)))
    except PackageNotFoundError as error:
        raise ProblemError(
            f"the problem's libraries name {error.name}: no such package is installed"
        ) from None


def _told(error: BaseException) -> str:
    """An exception as one line."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message[:TOLD]}" if message else type(error).__name__
