"""A study's journal: it survives kills, and one driver at a time has it open."""

import contextlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import optuna
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import TrialState

from lr_ceiling.errors import LockedError, ResultsError, StudyError
from lr_ceiling.search.sampler import INDEX

optuna.logging.set_verbosity(optuna.logging.WARNING)

# How Optuna begins a journal.
BEGIN = b'{"op_code":'


@contextlib.contextmanager
def held(journal: Path) -> Iterator[None]:
    """Hold the study in `journal` for this driver alone.

    Raises LockedError where another driver has it open, and ResultsError where no file can be.
    """
    lock = filelock.FileLock(beside(journal, "driver"))
    # Not in the lock's own file, which whoever tries for the lock empties.
    holder = beside(journal, "holder")
    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LockedError(
            f"another search has the study {journal} open{_told(holder)}: wait until it ends, or "
            "stop it"
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise ResultsError(f"{journal} can't be written ({reason}): name another file") from None
    # Whoever can't write it can't tell, and may search all the same.
    with contextlib.suppress(OSError):
        holder.write_text(f"process {os.getpid()} on {platform.node()}")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    try:
        return f" ({holder.read_text()})"
    # It has just begun, or is about to end.
    except OSError:
        return ""


def beside(journal: Path, kind: str) -> Path:
    """A file that belongs to this journal and to no other one of its folder."""
    return journal.with_name(f"{journal.name}.{kind}")


def load_study(journal: Path, name: str, sampler: BaseSampler) -> Study:
    """The study in a journal that is held, new or left by a driver that was killed.

    A new one gets `name`; one that is there is found by any name, as its file may have another one
    now. What a kill leaves is mended: a half-written last line is cut off, and trials that were
    under way are told FAIL, so that the driver runs their index again. Raises ResultsError where
    the journal is damaged, or another kind of file, and StudyError where it holds a study that no
    driver made; both are left as they are.
    """
    _check_kind(journal)
    with _writing(journal):
        _mend(journal)
    try:
        # Optuna's other lock is a symbolic link, for which Windows asks for a right of its own.
        lock = JournalFileOpenLock(str(journal))
        with _writing(journal):
            backend = _Backend(str(journal), lock)
        storage = JournalStorage(backend)
        names = [study.study_name for study in storage.get_all_studies()]
        if names:
            # Optuna's load_if_exists would add a line to a journal that may be refused.
            found = name if name in names else names[0]
            study = optuna.load_study(study_name=found, storage=storage, sampler=sampler)
        else:
            study = optuna.create_study(
                study_name=name, storage=storage, sampler=sampler, direction="maximize"
            )
    # What Optuna makes of a line that is none of its own.
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ResultsError(f"{journal} is damaged ({reason}): remove it and run again") from None
    if any(INDEX not in trial.user_attrs for trial in study.get_trials(deepcopy=False)):
        raise StudyError(
            f"{journal} holds a study of another program ({study.study_name}): name another file"
        )
    _fail_orphans(study)
    return study


class _Backend(JournalFileBackend):
    """Optuna's, on a disk that may be full or broken."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append; a line in part is cut off by the next search. Raises ResultsError."""
        with _writing(Path(self._file_path)):
            super().append_logs(logs)


@contextlib.contextmanager
def _writing(journal: Path) -> Iterator[None]:
    try:
        yield
    # Where its lock can't be released Optuna makes a RuntimeError of what went wrong.
    except (OSError, RuntimeError) as error:
        known = error if isinstance(error, OSError) else error.__context__
        reason = (isinstance(known, OSError) and known.strerror) or error
        raise ResultsError(
            f"{journal} can't be written ({reason}): make room or name another file, and run "
            "again; the trials that ended are kept"
        ) from None


def _check_kind(journal: Path) -> None:
    # Mending would cut another file's end off. A kill may leave a part of the first line.
    if not journal.exists():
        return
    if journal.is_dir():
        raise ResultsError(f"{journal} is a folder: name a file in it")
    with journal.open("rb") as file:
        if not BEGIN.startswith(file.read(len(BEGIN))):
            raise ResultsError(f"{journal} is no journal of a search: name another file")


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
