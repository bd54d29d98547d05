"""One at a time on this machine."""

import contextlib
from collections.abc import Iterator

import filelock

from lr_ceiling.errors import LockedError, ResultsError
from lr_ceiling.execution.provenance import root


@contextlib.contextmanager
def alone(name: str, whose: str) -> Iterator[None]:
    """Hold the lock `state/<name>.lock`.

    Raises LockedError where `whose` holds it, and ResultsError if it can't be written.
    """
    path = root() / "state" / f"{name}.lock"
    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LockedError(f"{whose} holds {path}: wait for its end and try again") from None
    except OSError as error:
        raise ResultsError(f"{path} can't be written ({error.strerror or error})") from None
    try:
        yield
    finally:
        lock.release()
