"""Where the store is, and its SQLite database: made, and brought to this MLflow's schema."""

import contextlib
import os
import sqlite3
import textwrap
from pathlib import Path

import mlflow.db
from alembic.util.exc import CommandError
from mlflow.store.db.utils import _get_latest_schema_revision
from sqlalchemy.exc import SQLAlchemyError

from lr_ceiling.errors import TrackingError
from lr_ceiling.execution.provenance import root


def store_uri() -> str:
    """Where runs are logged: MLFLOW_TRACKING_URI, or SQLite in `mlruns/`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root() / 'mlruns' / 'mlflow.db'}"


def database_of(uri: str) -> Path | None:
    """The file of a SQLite store; None for another kind of store."""
    return Path(uri.removeprefix("sqlite:///")).absolute() if uri.startswith("sqlite:///") else None


def prepare(database: Path) -> bool:
    """Make the SQLite database, or bring it to this MLflow's schema: MLflow's own start races.

    Returns whether it is new.
    """
    if not database.exists():
        partial = database.with_name(database.name + ".partial")
        partial.unlink(missing_ok=True)
        _upgrade(partial)
        partial.replace(database)
        return True
    if _revision(database) != _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        _upgrade(database)
    return False


def _upgrade(database: Path) -> None:
    try:
        mlflow.db.commands.main(["upgrade", f"sqlite:///{database}"], standalone_mode=False)
    except (CommandError, SQLAlchemyError) as error:
        reason = textwrap.shorten(str(error), 200, placeholder=" ...")
        raise TrackingError(
            f"{database} can't be brought to this MLflow's schema ({reason}): move mlruns/ away, "
            "and `lr-ceiling log` makes it anew"
        ) from None


def _revision(database: Path) -> str | None:
    # Asked of SQLite itself, for MLflow tries to open a damaged file for a minute and a half.
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        if tables.fetchone() is None:
            return None
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(revision)
