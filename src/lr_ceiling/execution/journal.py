"""A study's journal, which survives kills and is open in one driver at a time."""

import contextlib
import json
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

# Errors of Optuna, and of JSON, for lines that Optuna did not write.
DAMAGED = (ValueError, KeyError, AttributeError, TypeError, AssertionError, RecursionError)
# The first bytes of an Optuna journal.
BEGIN = b'{"op_code":'


@contextlib.contextmanager
def held(journal: Path) -> Iterator[None]:
    """Lock the study in `journal` for this driver.

    Raises LockedError if another driver has it open, and ResultsError if the lock can't be written.
    """
    lock = filelock.FileLock(beside(journal, "driver"))
    # Not in the lock's own file, because each attempt to lock empties it.
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
    # The file only serves messages, so the search continues if it can't be written.
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
    # The other driver has just started, or is about to end.
    except OSError:
        return ""


def beside(journal: Path, kind: str) -> Path:
    """The path of a companion file of this journal, in the same folder."""
    return journal.with_name(f"{journal.name}.{kind}")


def load_study(journal: Path, name: str, sampler: BaseSampler) -> Study:
    """The study in a locked journal, new or left by a killed driver.

    A new study gets `name`. An existing study is found under any name, since its file may have been
    renamed. Effects of a kill are repaired: a half-written last line is cut off, and trials that
    were in progress are set to FAIL, so that the driver runs them again. Raises ResultsError if the
    journal is damaged or is another kind of file, and StudyError if no driver made its study. Apart
    from a half-written last line, both files stay unchanged.
    """
    _check_kind(journal)
    with _writing(journal):
        last = _mend(journal)
    try:
        # Optuna reports a damaged last line only after it has appended others.
        if last:
            json.loads(last)
        # Optuna's other lock is a symbolic link, which needs a special right on Windows.
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
    except DAMAGED as error:
        reason = " ".join(str(error).split())[:100]
        raise ResultsError(f"{journal} is damaged ({reason}): remove it and run again") from None
    if any(INDEX not in trial.user_attrs for trial in study.get_trials(deepcopy=False)):
        raise StudyError(
            f"{journal} holds a study of another program ({study.study_name}): name another file"
        )
    _fail_orphans(study)
    return study


class _Backend(JournalFileBackend):
    """Optuna's backend, with errors of a full or broken disk as ResultsError."""

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines. The next search cuts off a partial line. Raises ResultsError."""
        with _writing(Path(self._file_path)):
            super().append_logs(logs)


@contextlib.contextmanager
def _writing(journal: Path) -> Iterator[None]:
    try:
        yield
    # If its lock can't be released, Optuna raises a RuntimeError instead of the original error.
    except (OSError, RuntimeError) as error:
        known = error if isinstance(error, OSError) else error.__context__
        reason = (isinstance(known, OSError) and known.strerror) or error
        raise ResultsError(
            f"{journal} can't be written ({reason}): make room or name another file, and run "
            "again; finished trials are kept"
        ) from None


def _check_kind(journal: Path) -> None:
    # Otherwise the repair would cut off the end of a foreign file. After a kill the journal may be
    # a part of its first line.
    if not journal.exists():
        return
    if journal.is_dir():
        raise ResultsError(f"{journal} is a folder: name a file in it")
    with journal.open("rb") as file:
        if not BEGIN.startswith(file.read(len(BEGIN))):
            raise ResultsError(f"{journal} is no journal of a search: name another file")


def _mend(journal: Path) -> bytes:
    """Cut off a half-written line, and return the last whole one; empty if there is none."""
    # A kill leaves Optuna's own lock, and Optuna would wait 30 s before it counts as stale.
    Path(f"{journal}.lock").unlink(missing_ok=True)
    if not journal.exists():
        return b""
    with journal.open("r+b") as file:
        *lines, rest = file.read().split(b"\n")
        file.truncate(file.tell() - len(rest))
    return lines[-1] if lines else b""


def _fail_orphans(study: Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
        study.tell(trial.number, state=TrialState.FAIL)
    # Trials that were enqueued but never asked for, because of a kill in between.
    for _ in study.get_trials(deepcopy=False, states=[TrialState.WAITING]):
        study.tell(study.ask(), state=TrialState.FAIL)
