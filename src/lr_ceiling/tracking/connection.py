"""The way to the store: one writer at a time, and at no risk for whom it mirrors."""

import contextlib
import logging
import os
import sqlite3
import sys
import textwrap
from collections.abc import Callable, Iterator

import filelock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from lr_ceiling.errors import LockedError, TrackingError
from lr_ceiling.execution.provenance import SWITCH, root
from lr_ceiling.tracking.credentials import hide
from lr_ceiling.tracking.database import database_of, prepare, store_uri
from lr_ceiling.tracking.store import Store

# A logger is done with a group in seconds; one that holds the lock for longer hangs.
LOCK_SECONDS = 60


def mirror(send: Callable[[Store], object]) -> bool:
    """Open the store and let `send` log to it, at no risk for the caller.

    A store that is away or fails costs one line of warning on stderr and seconds of waiting.
    With LR_CEILING_TRACKING=off nothing happens. Returns whether `send` has logged.
    """
    if os.environ.get(SWITCH) == "off":
        return False
    try:
        with open_store() as store:
            send(store)
    # Training took minutes: no fault of a mirror, foreseen or not, may lose it.
    except Exception as error:
        reason = textwrap.shorten(hide(str(error) or repr(error)), 300)
        print(f"warning: {reason}; `lr-ceiling log` sends it later", file=sys.stderr)
        return False
    return True


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """The tracking store, for one writer at a time; SQLite is made or migrated first.

    Raises TrackingError where it can't be reached or fails, LockedError where another process
    keeps writing to it.
    """
    # They tell of every migration and of every retry.
    for chatty in ("mlflow", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    uri = store_uri()
    database = database_of(uri)
    lock = (database or root() / "state" / "tracking").with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock, timeout=LOCK_SECONDS):
            fresh = database is not None and prepare(database)
            client = MlflowClient(uri)
            if fresh:
                # MLflow makes an experiment "Default" with each database; nothing is logged there.
                client.delete_experiment("0")
            yield Store(client, database.parent / "artifacts" if database else None)
    except filelock.Timeout:
        raise LockedError(f"another process has held {lock} for {LOCK_SECONDS} s") from None
    # Of `requests` too: its exceptions are OSErrors.
    except (MlflowException, sqlite3.Error, OSError) as error:
        # Hidden before it is cut, since a password is known by what follows it.
        reason = textwrap.shorten(hide(str(error)), 200, placeholder=" ...")
        raise TrackingError(f"MLflow at {hide(uri)} failed: {reason}") from error
