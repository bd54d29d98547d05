"""Checks MLflow's database and the registry: all versions' files, and the live version."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

# Before live's registry, since importing mlflow reads the settings that this import makes.
from lr_ceiling.tracking import database_of, open_store, store_uri  # isort: skip

from lr_ceiling.errors import LockedError, LrCeilingError, RegistryError
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.live import last_known
from lr_ceiling.live.registry import MENDING, SHA256, STORE, Registry, Version
from lr_ceiling.pipeline.integrity.part import Part

KEEP = (
    "keep it, since it holds the registry; put back a copy, or save what can be read by "
    "`sqlite3 DATABASE .recover`"
)


def check_store(name: str) -> Part:
    """Check that the database is sound and each version of the model `name` is unchanged.

    The store is opened like in all commands, so a moved store finds its files again.
    """
    part = Part("registry")
    try:
        database = database_of(store_uri())
        if database and database.exists():
            part.seen += 1
            _check_database(database, part)
        elif database:
            _tell_missing(database, name, part)
            return part
        if not part.faults:
            _check_versions(name, part)
    # The record can't be read.
    except ValueError as error:
        part.blame(str(error), "put it back; it tells which model was live last")
    except LockedError as error:
        part.notes.append(
            f"the versions of {name} are not checked, since {error}: check again when it has ended"
        )
    except LrCeilingError as error:
        part.blame_for(error, f"let {STORE} name a store that answers")
    return part


def _tell_missing(database: Path, name: str, part: Part) -> None:
    # Opening the store would create it, and this check must not change anything.
    known = last_known.champion(name)
    if known is None:
        part.notes.append(f"{database} is not there yet: `lr-ceiling log` makes it")
    else:
        part.blame(
            f"{database} is missing, and version {known.version} of {name} was live in "
            f"{known.registry}",
            f"let {STORE} name that store, or put its files back",
        )


def _check_database(database: Path, part: Part) -> None:
    try:
        uri = f"{database.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        said = [str(error)]
    if said != ["ok"]:
        part.blame(f"{database} is damaged ({said[0]})", KEEP)


def _check_versions(name: str, part: Part) -> None:
    with open_store() as store:
        registry = Registry(store, name)
        for version in registry.history():
            part.seen += 1
            try:
                registry.check_file(version)
            except RegistryError as error:
                part.blame(str(error), _mending(version))
        if registry.at("champion") is None:
            last_known.check(registry)


def _mending(version: Version) -> str:
    """The same file under another name, if there is one; otherwise a remedy without the file."""
    for path in _models():
        if sha256_of(path) == version.tags.get(SHA256) and "://" not in version.source:
            target = f"{version.source}/data/model.keras"
            return f"`mkdir -p {Path(target).parent} && cp {path} {target}` puts it back"
    return MENDING if "champion" in version.aliases else "nothing needs it unless it is rolled back"


def _models() -> Iterator[Path]:
    for folder in (Path("data/models"), Path("state/runs")):
        yield from sorted(folder.rglob("*.keras"))
