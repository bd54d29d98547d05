"""One Optuna study, one driver: trials in order of their index, in a journal that survives kills.

Trial i depends on the study's key, on i and on results of earlier trials alone: on those of trials
0..i-lag always, on later ones where it is better to wait for them. So the trials are the same for
any number of workers up to the lag, and after any interruption.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import filelock
import optuna
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial, TrialState

from lr_ceiling import batch
from lr_ceiling.batch import code_digest
from lr_ceiling.course import Aim, Course
from lr_ceiling.errors import LockedError
from lr_ceiling.posterior import Observation
from lr_ceiling.runs import RunResult, RunSpec
from lr_ceiling.sampler import INDEX, KNOWN, OBSERVATION
from lr_ceiling.workers import Ended, Task, Workers

LEARNING_RATE = "learning_rate"
# The user attribute that holds a trial's RunResult as JSON.
RUN = "run"
# What decides a study's trials beside its aim.
MODULES = (*batch.MODULES, "ceiling", "course", "plan", "posterior", "sampler", "study")
LIBRARIES = (*batch.LIBRARIES, "optuna", "scipy")

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Plan:
    """A study's aim, and the run that each of its trials is: `spec(index, learning_rate)`."""

    aim: Aim
    spec: Callable[[int, float], RunSpec]


def observation(run: RunResult) -> Observation:
    """What a run says of its learning rate."""
    ended = run.called is not None and run.steps < run.spec.horizon
    return Observation(
        u=math.log10(run.spec.learning_rate),
        stable=run.label == "stable",
        called=run.called is not None,
        # A number that is no number is a fact: such a call is never wrong.
        ended=ended and run.called != "diverged",
        cost=run.steps / run.spec.horizon,
    )


@contextmanager
def open_study(journal: Path, sampler: BaseSampler) -> Iterator[Study]:
    """Open the study in `journal`, new or left by a driver that was killed, for this driver alone.

    What a kill leaves is mended: a half-written last line is cut off, and trials that were under
    way are told FAIL, so that `drive` runs their index again. Raises LockedError where another
    driver holds the study.
    """
    journal.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(journal.with_suffix(".driver"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LockedError(
            f"another search has the study {journal} open: wait until it ends, or stop it"
        ) from None
    try:
        _mend(journal)
        study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name=journal.stem,
            direction="maximize",
            sampler=sampler,
            load_if_exists=True,
        )
        _fail_orphans(study)
        yield study
    finally:
        lock.release()


def drive(
    study: Study,
    plan: Plan,
    workers: Workers,
    splits: Path,
    on_ended: Callable[[int, Ended], None] = lambda index, ended: None,
) -> list[RunResult]:
    """Run the study to its end; returns all trials' results in order of index.

    Trials that an earlier driver finished are taken from the journal; `on_ended` is told of the
    others, with their index.
    """
    done = finished(study)
    seen = {index: observation(run) for index, run in done.items()}
    course = Course(plan.aim)
    limits = 10**plan.aim.bounds.lowest, 10**plan.aim.bounds.highest
    under_way: dict[RunSpec, tuple[int, Trial]] = {}
    while True:
        while course.may_start(seen):
            if course.index in done:
                course.started(seen[course.index].u)
                continue
            trial = _ask(study, course)
            rate = trial.suggest_float(LEARNING_RATE, *limits, log=True)
            spec = plan.spec(course.index, rate)
            under_way[spec] = course.index, trial
            workers.submit(Task(spec, splits))
            course.started(math.log10(rate))
        if not under_way:
            return [done[index] for index in range(course.index)]
        ended = workers.completed()
        number, trial = under_way.pop(ended.task.spec)
        _tell(study, trial, ended.result)
        done[number], seen[number] = ended.result, observation(ended.result)
        on_ended(number, ended)


def finished(study: Study) -> dict[int, RunResult]:
    """The results of the trials that have ended, by index."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return {
        trial.user_attrs[INDEX]: RunResult.model_validate_json(trial.user_attrs[RUN])
        for trial in trials
    }


def search_digest() -> str:
    """Identity of the code that decides a study: trials of other code are not continued."""
    return code_digest(MODULES, LIBRARIES)


def _ask(study: Study, course: Course) -> Trial:
    study.enqueue_trial({}, user_attrs={INDEX: course.index, KNOWN: course.known})
    return study.ask()


def _tell(study: Study, trial: Trial, run: RunResult) -> None:
    trial.set_user_attr("label", run.label)
    trial.set_user_attr(OBSERVATION, observation(run))
    trial.set_user_attr(RUN, run.model_dump_json())
    study.tell(trial, run.spec.learning_rate if run.label == "stable" else 0.0)


def _mend(journal: Path) -> None:
    # Optuna's own lock is left by a kill, and waits 30 s before it takes itself for stale.
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        file.truncate(file.read().rfind(b"\n") + 1)


def _fail_orphans(study: Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    # Enqueued, but never asked for: a kill came between the two.
    for _ in study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        study.tell(study.ask(), state=TrialState.FAIL)
