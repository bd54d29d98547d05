"""The SQLite database: made, and brought to this MLflow's schema."""

import contextlib
import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path

import mlflow.db
from alembic.util.exc import CommandError
from mlflow.store.db.utils import _get_latest_schema_revision
from sqlalchemy.exc import SQLAlchemyError

from lr_ceiling.errors import TrackingError
from lr_ceiling.tracking.location import uri_of

# A writer that holds the database for longer won't end by itself.
BUSY_SECONDS = 5


def prepare(database: Path) -> bool:
    """Make the SQLite database, or bring it to this MLflow's schema: MLflow's own start races.

    One of an older schema stays beside it, as it was. Returns whether it is new. Raises
    TrackingError for a newer schema, and while another program writes to an older one.
    """
    partial = database.with_name(database.name + ".partial")
    if not database.exists():
        partial.unlink(missing_ok=True)
        _upgrade(partial, database)
        partial.replace(database)
        return True
    revision = _revision(database)
    if revision != _get_latest_schema_revision():  # type: ignore[no-untyped-call]
        before = database.with_name(f"{database.stem}-before-{revision or 'mlflow'}.db")
        with _held(database):
            # A copy is migrated: a kill in the middle leaves the database as it was.
            _copy(database, partial)
            _upgrade(partial, database)
            _copy(database, before)
            partial.replace(database)
    return False


def _copy(database: Path, to: Path) -> None:
    to.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(database)) as source,
        contextlib.closing(sqlite3.connect(to)) as target,
    ):
        source.backup(target)


@contextlib.contextmanager
def _held(database: Path) -> Iterator[None]:
    """Let nobody write to the database; it can be read."""
    with contextlib.closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise TrackingError(
                f"{database} is of an older MLflow and can't be migrated now ({error}): end the "
                "program that writes to it, and try again"
            ) from None
        yield


def _upgrade(database: Path, name: Path) -> None:
    """Bring `database` to this MLflow's schema; `name` is what its user calls it."""
    try:
        mlflow.db.commands.main(["upgrade", uri_of(database)], standalone_mode=False)
    except (CommandError, SQLAlchemyError) as error:
        database.unlink(missing_ok=True)
        reason = textwrap.shorten(str(error), 200, placeholder=" ...")
        raise TrackingError(
            f"{name} can't be brought to the schema of MLflow {mlflow.__version__} ({reason}): "
            "keep it, since it holds the model registry, and use the MLflow that wrote it last"
        ) from None


def _revision(database: Path) -> str | None:
    # Asked of SQLite itself, for MLflow tries to open a damaged file for a minute and a half.
    with contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
        if tables.fetchone() is None:
            return None
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(revision)
