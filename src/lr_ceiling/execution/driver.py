"""Drives one study: starts its trials in order of their index, and reports results to Optuna.

Trial i depends only on the study's key, on i and on results of earlier trials. It always knows the
results of trials 0..i-lag, and may wait for later ones. So the trials are the same for any number
of workers up to the lag, and after any interruption.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState

from lr_ceiling.errors import ResultsError, StudyError
from lr_ceiling.execution.journal import beside, held, load_study
from lr_ceiling.execution.runner import Ended, Task
from lr_ceiling.search.ceiling import CALLS, LOSS, RESULT
from lr_ceiling.search.posterior import Observation
from lr_ceiling.search.sampler import EXPECTED, INDEX, KNOWN, OBSERVATION, PART, CeilingSampler
from lr_ceiling.search.schedule import Aim, Part, Schedule

LEARNING_RATE = "learning_rate"
# The study's attribute with everything that determines its trials.
MADE_BY = "made_by"


class Trials(Protocol):
    """The trials of a study: their tasks, and the meaning of the tasks' results."""

    @property
    def aim(self) -> Aim:
        """The goal of the study."""

    @property
    def horizon(self) -> int:
        """Steps of a full run."""

    def task(self, index: int, learning_rate: float, part: Part) -> Task:
        """The run of trial `index`."""

    def is_of(self, result: Any, task: Any) -> bool:
        """Whether `result` is the result of `task`."""

    def observe(self, result: Any) -> Observation:
        """The observation in a result."""

    def dump(self, result: Any) -> str:
        """A result as text."""

    def load(self, text: str) -> Any:
        """The result that `dump` wrote."""

    def shown(self, result: Any) -> Mapping[str, str | float | int | None]:
        """The details of a result that a trial's attributes show to people."""

    def made_by(self) -> Mapping[str, str | float | int]:
        """Everything that determines the trials, by name. A stored study must have the same."""


class Driver:
    """Gives a study's trials as tasks, each when it may start, and records their results.

    Results in the journal are reused if the sampler still proposes the same trials: see `opened`.
    `study` is the Optuna study; `results` holds all known results, by index; `ended` says whether
    the study is finished. `on_ended` is called with each new result.
    """

    def __init__(
        self,
        study: Study,
        trials: Trials,
        on_ended: Callable[[int, Ended], None] = lambda index, ended: None,
        known: Mapping[int, Any] | None = None,
    ) -> None:
        """`known` are results of a discarded study; those with the same tasks are reused."""
        self.results = finished(study, trials)
        self.ended = False
        self.study = study
        self._trials = trials
        self._on_ended = on_ended
        self._known = known or {}
        self._seen = {index: trials.observe(result) for index, result in self.results.items()}
        self._schedule = Schedule(trials.aim)
        self._under_way: dict[int, tuple[int, Trial]] = {}

    def next(self) -> Task | None:
        """The next trial's task; None while it waits for a trial in progress, and at the end."""
        schedule = self._schedule
        while schedule.may_start(self._seen):
            index = schedule.index
            if index in self.results:
                schedule.started(self._seen[index].u)
                continue
            trial = self._ask(index)
            rate = trial.suggest_float(LEARNING_RATE, *self._trials.aim.limits, log=True)
            task = self._trials.task(index, rate, schedule.part)
            schedule.started(math.log10(rate))
            if index in self._known and self._trials.is_of(self._known[index], task):
                self._tell(index, trial, self._known[index])
                continue
            self._under_way[id(task)] = index, trial
            return task
        self.ended = not self._under_way
        return None

    def take(self, ended: Ended) -> None:
        """Record a finished trial."""
        index, trial = self._under_way.pop(id(ended.task))
        self._tell(index, trial, ended.result)
        self._on_ended(index, ended)

    @property
    def parts(self) -> list[Part]:
        """The part of each trial of a finished study, in order of index."""
        return self._schedule.parts

    @property
    def in_order(self) -> list[Any]:
        """The results of a finished study, in order of index."""
        return [self.results[index] for index in range(self._schedule.index)]

    def _ask(self, index: int) -> Trial:
        attributes = {INDEX: index, KNOWN: self._schedule.known, PART: self._schedule.part}
        self.study.enqueue_trial({}, user_attrs=attributes)
        return self.study.ask()

    def _tell(self, index: int, trial: Trial, result: Any) -> None:
        seen = self._trials.observe(result)
        for name, value in self._trials.shown(result).items():
            trial.set_user_attr(name, value)
        trial.set_user_attr(OBSERVATION, seen)
        trial.set_user_attr(RESULT, self._trials.dump(result))
        self.study.tell(trial, 10**seen.u if seen.stable else 0.0)
        self.results[index], self._seen[index] = result, seen


def sampler_of(aim: Aim) -> CeilingSampler:
    """The sampler of a study with this aim."""
    return CeilingSampler(
        seed=aim.key,
        lag=aim.lag,
        expected=(aim.low, aim.high),
        calls=aim.calls,
        loss=aim.usable_loss,
    )


@contextmanager
def opened(
    journal: Path | None,
    trials: Trials,
    on_ended: Callable[[int, Ended], None] = lambda index, ended: None,
    sampler: BaseSampler | None = None,
) -> Iterator[Driver]:
    """Open the study in `journal`, new or left by an earlier driver, and yield its driver.

    Without a journal the study is kept in memory. If the sampler's code has changed and proposes
    other trials, the journal is started anew; results of trials that are still the same are
    reused. Until the new study is finished, the former journal stays beside it. Raises LockedError
    if another driver has it open, ResultsError if it is damaged or can't be renamed, and StudyError
    if other settings determine its trials.
    """
    sampler = sampler or sampler_of(trials.aim)
    if journal is None:
        study = optuna.create_study(direction="maximize", sampler=sampler)
        _describe(study, trials)
        yield Driver(study, trials, on_ended)
        return
    former = beside(journal, "former")
    with held(journal):
        study = load_study(journal, journal.stem, sampler)
        _check_made_by(study, trials, journal)
        if not replays(study, trials):
            _rename(journal, former)
            study = load_study(journal, journal.stem, sampler)
        _describe(study, trials)
        known: dict[int, Any] = {}
        if former.exists():
            known = finished(load_study(former, journal.stem, sampler), trials)
        driver = Driver(study, trials, on_ended, known)
        yield driver
        if driver.ended:
            # It is of no use any more, so an answer does not depend on its removal.
            with suppress(OSError):
                former.unlink(missing_ok=True)


def _rename(journal: Path, former: Path) -> None:
    try:
        journal.replace(former)
    except OSError as error:
        reason = error.strerror or error
        raise ResultsError(f"{journal} can't be renamed ({reason}): name another file") from None


def _describe(study: Study, trials: Trials) -> None:
    """Store the study's settings in its attributes, for later drivers and for `ceiling_of`."""
    aim = trials.aim
    wanted = {
        MADE_BY: dict(trials.made_by()),
        EXPECTED: [aim.low, aim.high],
        CALLS: list(aim.calls),
        LOSS: aim.usable_loss if aim.usable_runs else None,
    }
    known = study.user_attrs
    for name, value in wanted.items():
        # The question for the later parts may change from one search to the next.
        if name not in known or (name == LOSS and known[name] != value):
            study.set_user_attr(name, value)


def _check_made_by(study: Study, trials: Trials, journal: Path) -> None:
    found, wanted = study.user_attrs.get(MADE_BY), trials.made_by()
    if found is None:
        return
    differing = [
        f"{name} is {wanted.get(name, 'none')}, there {found.get(name, 'none')}"
        for name in dict.fromkeys((*wanted, *found))
        if wanted.get(name) != found.get(name)
    ]
    if differing:
        raise StudyError(
            f"{journal} holds another search: {'; '.join(differing)}. Name another file, or "
            "remove this one"
        )


def replays(study: Study, trials: Trials) -> bool:
    """Whether the sampler would propose the finished trials again now."""
    results = finished(study, trials)
    seen = {index: trials.observe(result) for index, result in results.items()}
    ended = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    told = {
        trial.user_attrs.get(INDEX): list(trial.user_attrs.get(OBSERVATION, ())) for trial in ended
    }
    # A result can't be read, or differs from the one that was reported to the sampler.
    if told != {index: list(one) for index, one in seen.items()}:
        return False
    schedule = Schedule(trials.aim)
    low, high = trials.aim.limits
    while schedule.may_start(seen):
        u = schedule.propose()
        if schedule.index in results:
            rate = float(np.clip(10**u, low, high))
            if not trials.is_of(
                results[schedule.index], trials.task(schedule.index, rate, schedule.part)
            ):
                return False
            u = seen[schedule.index].u
        schedule.started(u)
        if schedule.index > max(results, default=-1):
            return True
    return True


def finished(study: Study, trials: Trials) -> dict[int, Any]:
    """The results of the finished trials, by index; unreadable ones are left out."""
    results = {}
    for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        # pydantic's ValidationError is one.
        with suppress(ValueError, KeyError):
            results[trial.user_attrs[INDEX]] = trials.load(trial.user_attrs[RESULT])
    return results
