"""One at a time on this machine."""

import contextlib
from collections.abc import Iterator

import filelock

from lr_ceiling.errors import LockedError
from lr_ceiling.execution.provenance import root


@contextlib.contextmanager
def alone(name: str, whose: str) -> Iterator[None]:
    """Hold the lock `state/<name>.lock`. Raises LockedError where `whose` holds it."""
    lock = root() / "state" / f"{name}.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(lock, timeout=0):
            yield
    except filelock.Timeout:
        raise LockedError(f"{whose} holds {lock}: wait for its end and try again") from None
