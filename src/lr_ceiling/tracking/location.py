"""Where the store is: what MLFLOW_TRACKING_URI names, or SQLite in `mlruns/`."""

import os
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from lr_ceiling.errors import TrackingError
from lr_ceiling.execution.provenance import root
from lr_ceiling.tracking.credentials import hide

NAMED = "MLFLOW_TRACKING_URI"
# MLflow reads and writes folders of runs only where this says so.
FOLDERS = "MLFLOW_ALLOW_FILE_STORE"
EXAMPLE = "such as sqlite:///mlruns/mlflow.db"
# What MLflow takes though it looks like a folder.
WORDS = {"databricks", "databricks-uc", "uc"}


def store_uri() -> str:
    """The store's URI; a file in it has its absolute path. Raises TrackingError for no store."""
    named = os.environ.get(NAMED, "").strip()
    return resolve(named, NAMED) if named else uri_of(root() / "mlruns" / "mlflow.db")


def resolve(named: str, variable: str) -> str:
    """What a variable names, in full: a relative path is one from the project's root.

    Raises TrackingError for what can be no store.
    """
    scheme, colon, rest = named.partition(":")
    scheme = scheme.lower() if colon else ""
    if scheme.partition("+")[0] == "sqlite":
        return _resolve_sqlite(f"{scheme}:{rest}", f"{variable} is {hide(named)}")
    if scheme == "file" or (not colon and named not in WORDS):
        folder = root() / (rest.removeprefix("//") if colon else named)
        if os.environ.get(FOLDERS, "").lower() not in {"true", "1"}:
            raise TrackingError(
                f"{variable} is {named}: MLflow keeps no runs in a folder any more; name a "
                f"database, {EXAMPLE}, or a server"
            )
        return folder.as_uri()
    return f"{scheme}:{rest}" if colon else named


def uri_of(database: Path) -> str:
    """The URI of a SQLite file, whatever characters its path has."""
    return URL.create("sqlite", database=str(database)).render_as_string()


def database_of(uri: str) -> Path | None:
    """The file of a SQLite store, whose URI is in full; None for another kind of store."""
    if not uri.partition(":")[0].startswith("sqlite"):
        return None
    return Path(make_url(uri).database or "")


def is_same(one: str, other: str) -> bool:
    """Whether two URIs, in full, name one store."""
    database = database_of(one)
    if database is None:
        return one.rstrip("/") == other.rstrip("/")
    return database_of(other) == database


def _resolve_sqlite(named: str, said: str) -> str:
    try:
        url = make_url(named)
    except ArgumentError:
        url = URL.create("sqlite", host="none")
    if url.host or "///" not in named:
        raise TrackingError(f"{said}: SQLite's file follows three slashes, {EXAMPLE}")
    if not url.database or url.database == ":memory:":
        raise TrackingError(f"{said}: it keeps nothing; name a file, {EXAMPLE}")
    if url.database.startswith("file:"):
        raise TrackingError(f"{said}: name the file itself, {EXAMPLE}")
    return url.set(database=str(root() / url.database)).render_as_string(hide_password=False)
