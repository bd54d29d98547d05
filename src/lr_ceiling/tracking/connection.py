"""The way to the store: one writer at a time, and at no risk for whom it mirrors."""

import contextlib
import logging
import os
import sqlite3
import sys
import textwrap
from collections.abc import Callable, Iterator
from json import JSONDecodeError

import filelock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from lr_ceiling.errors import LockedError, TrackingError
from lr_ceiling.execution.provenance import SWITCH, root
from lr_ceiling.tracking.credentials import hide
from lr_ceiling.tracking.database import prepare
from lr_ceiling.tracking.location import NAMED, database_of, store_uri
from lr_ceiling.tracking.moved import artifacts_of, find_files
from lr_ceiling.tracking.store import Store

# A logger is done with a group in seconds; one that holds the lock for longer hangs.
LOCK_SECONDS = 60
# Kinds of store that are servers of a database.
DATABASES = ("postgresql", "mysql", "mssql")
# What MLflow says of a server that is away or fails.
PASSING = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}


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
        when = "later" if _passes(error) else "once that is mended"
        print(f"warning: {reason}; `lr-ceiling log` sends it {when}", file=sys.stderr)
        return False
    return True


@contextlib.contextmanager
def open_store() -> Iterator[Store]:
    """The tracking store, for one writer at a time; SQLite is made or migrated first.

    Raises TrackingError where it can't be reached or fails, LockedError where another process
    keeps writing to it.
    """
    # They tell of every migration and of every retry, and MLflow of each fault with its traceback.
    for chatty, least in (("mlflow", logging.CRITICAL), ("urllib3", logging.ERROR)):
        logging.getLogger(chatty).setLevel(least)
    uri = store_uri()
    database = database_of(uri)
    lock = (database or root() / "state" / "tracking").with_suffix(".lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(lock, timeout=LOCK_SECONDS):
            fresh = database is not None and prepare(database)
            if database and not fresh:
                find_files(database)
            # Both in one store, whatever MLFLOW_REGISTRY_URI says: who uses the registry checks it.
            client = _client(uri)
            if fresh:
                # MLflow makes an experiment "Default" with each database; nothing is logged there.
                client.delete_experiment("0")
            yield Store(client, artifacts_of(database) if database else None, hide(uri))
    except filelock.Timeout:
        raise LockedError(f"another process has held {lock} for {LOCK_SECONDS} s") from None
    # Of `requests` too: its exceptions are OSErrors.
    except (MlflowException, sqlite3.Error, SQLAlchemyError, OSError, JSONDecodeError) as error:
        raise _fault(uri, error) from error


def _client(uri: str) -> MlflowClient:
    try:
        if uri.startswith(DATABASES):
            # MLflow tries for minutes what is away, or has no driver here.
            create_engine(uri).connect().close()
        client = MlflowClient(uri, registry_uri=uri)
        # A kind of store that it doesn't know it tells when it is first asked for.
        found = client.get_experiment_by_name("train")
    # What a database's driver raises where it is not installed, or whatever it likes.
    except Exception as error:
        raise _fault(uri, error) from error
    # MLflow's client takes an empty answer, such as a proxy's, for an experiment that is empty.
    if found is not None and not found.experiment_id:
        raise TrackingError(
            f"MLflow at {hide(uri)} failed: it answers with nothing: name another server in {NAMED}"
        )
    return client


def _fault(uri: str, error: Exception) -> TrackingError:
    # Hidden before it is cut, since a password is known by what follows it.
    # SQLAlchemy tells the statement, too.
    said = hide(str(error)).partition("[SQL:")[0]
    reason = textwrap.shorten(said, 200, placeholder=" ...")
    damaged = type(error) is sqlite3.DatabaseError
    remedy = ": keep the file, and `lr-ceiling check` tells what helps" if damaged else ""
    return TrackingError(f"MLflow at {hide(uri)} failed: {reason}{remedy}")


def _passes(error: Exception) -> bool:
    """Whether a fault may be gone later: a server that is away or ill, a store that is busy."""
    if isinstance(error, LockedError):
        return True
    cause = error.__cause__ if isinstance(error, TrackingError) else error
    if isinstance(cause, MlflowException):
        return cause.error_code in PASSING
    if isinstance(cause, sqlite3.OperationalError):
        return "locked" in str(cause)
    return isinstance(cause, OSError | OperationalError)
