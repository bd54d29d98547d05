"""One Optuna study, one driver: trials in order of their index, in a journal that survives kills.

Trial i depends on the study's key, on i and on the results of trials 0..i-lag alone, so the trials
are the same for any number of workers up to the lag, and after any interruption.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import filelock
import optuna
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial, TrialState

from lr_ceiling.errors import LockedError
from lr_ceiling.runs import RunResult, RunSpec
from lr_ceiling.sampler import INDEX
from lr_ceiling.workers import Ended, Task, Workers

LEARNING_RATE = "learning_rate"
# The user attribute that holds a trial's RunResult as JSON.
RUN = "run"
# What decides a run's numbers beside its spec and our code.
LIBRARIES = ("keras", "numpy", "optuna", "tensorflow")

optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass(frozen=True)
class Plan:
    """What a study may ask for.

    `key` is its identity; `low` and `high` bound the learning rate; `lag` is how many trials back
    results are known; `budget` and `horizon` are in optimizer steps; `spec(index, learning_rate)`
    makes a trial's run.
    """

    key: str
    low: float
    high: float
    lag: int
    budget: int
    horizon: int
    spec: Callable[[int, float], RunSpec]

    def may_start(self, index: int, done: Mapping[int, RunResult]) -> bool:
        """Whether trial `index` is within the lag and certain to end within the budget.

        A trial that is still under way counts as a full run. So the number of trials depends on
        their results alone, not on the order in which they end.
        """
        known = all(before in done for before in range(index - self.lag + 1))
        spent = sum(
            done[before].steps if before in done else self.horizon for before in range(index)
        )
        return known and spent + self.horizon <= self.budget


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
    """Run the study to the end of its budget; returns all trials' results in order of index.

    Trials that an earlier driver finished are taken from the journal; `on_ended` is told of the
    others, with their index.
    """
    done = finished(study)
    under_way: dict[RunSpec, tuple[int, Trial]] = {}
    index = 0
    while True:
        while plan.may_start(index, done):
            if index not in done:
                trial = _ask(study, index)
                rate = trial.suggest_float(LEARNING_RATE, plan.low, plan.high, log=True)
                spec = plan.spec(index, rate)
                under_way[spec] = index, trial
                workers.submit(Task(spec, splits))
            index += 1
        if not under_way:
            return [done[number] for number in range(index)]
        ended = workers.completed()
        number, trial = under_way.pop(ended.task.spec)
        _tell(study, trial, ended.result)
        done[number] = ended.result
        on_ended(number, ended)


def finished(study: Study) -> dict[int, RunResult]:
    """The results of the trials that have ended, by index."""
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    return {
        trial.user_attrs[INDEX]: RunResult.model_validate_json(trial.user_attrs[RUN])
        for trial in trials
    }


def code_digest() -> str:
    """SHA-256 over the package's code and the versions of the libraries that do the arithmetic.

    Trials of other code are not continued.
    """
    digest = hashlib.sha256()
    for library in LIBRARIES:
        digest.update(f"{library}=={version(library)}\n".encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _ask(study: Study, index: int) -> Trial:
    study.enqueue_trial({}, user_attrs={INDEX: index})
    return study.ask()


def _tell(study: Study, trial: Trial, run: RunResult) -> None:
    trial.set_user_attr("label", run.label)
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
