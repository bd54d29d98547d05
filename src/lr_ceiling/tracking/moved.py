"""Find a moved store's files again: MLflow keeps the absolute path of each in its database.

The files lie in `artifacts/` beside the database, whatever is written in it. So a project that was
moved, copied or mounted elsewhere keeps its registry, its history and its runs.
"""

import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

from lr_ceiling.errors import TrackingError

# Every column with the path of a file.
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
# A version's source is <artifacts>/<experiment>/models/<model>/artifacts.
DEPTH = 4


def artifacts_of(database: Path) -> Path:
    """The folder of the files that the runs and models of a database have."""
    return database.parent / "artifacts"


def is_same_folder(one: Path, other: Path) -> bool:
    """Whether two paths are one folder, through links as well."""
    with contextlib.suppress(OSError):
        return one == other or one.samefile(other)
    return False


def find_files(database: Path) -> None:
    """Let a database that was moved name its files where they are now, all of them or none.

    Says so on stderr. Raises TrackingError where the files were left behind.
    """
    new = artifacts_of(database)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        left = {folder for folder in _folders(connection) if not is_same_folder(Path(folder), new)}
        if not left:
            return
        with connection:
            moved = sum(_move(connection, Path(folder), new) for folder in sorted(left))
    print(
        f"{database} was moved: {moved} paths in it now lead to {new}, no more to "
        f"{', '.join(sorted(left))}",
        file=sys.stderr,
    )


def _folders(connection: sqlite3.Connection) -> Iterator[str]:
    """The folders of files that the database names, each of them perhaps several times."""
    for name, location in connection.execute("SELECT name, artifact_location FROM experiments"):
        folder, _, last = (location or "").rpartition("/")
        # Only experiments of ours keep their files so.
        if last == name and folder.endswith("/artifacts"):
            yield folder
    for (source,) in connection.execute("SELECT DISTINCT source FROM model_versions"):
        parts = Path(source or "").parents
        if len(parts) > DEPTH and parts[DEPTH - 1].name == "artifacts":
            yield str(parts[DEPTH - 1])


def _move(connection: sqlite3.Connection, old: Path, new: Path) -> int:
    """Change every path in `old` to one in `new`; gives how many. Raises TrackingError."""
    prefix = f"{old}/"
    # Fetched at once: a query that an error leaves half-read would keep the database locked.
    models = connection.execute(
        "SELECT artifact_location FROM logged_models UNION SELECT source FROM model_versions"
    ).fetchall()
    for (source,) in models:
        if not (source or "").startswith(prefix):
            continue
        if Path(source).exists() and not (new / source.removeprefix(prefix)).exists():
            raise TrackingError(
                f"the files of MLflow's database are not in {new}, but still in {old}: copy that "
                "folder there and try again; nothing is lost"
            )
    return sum(
        connection.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE substr({column}, 1, ?) = ?",
            (f"{new}/", len(prefix) + 1, len(prefix), prefix),
        ).rowcount
        for table, column in COLUMNS
    )
