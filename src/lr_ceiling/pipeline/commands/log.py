"""`lr-ceiling log`: log finished runs to MLflow, including those from DVC's cache."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import click

from lr_ceiling import errors
from lr_ceiling.errors import ResultsError
from lr_ceiling.evidence.records import read_study
from lr_ceiling.execution.files import write_text
from lr_ceiling.execution.provenance import SWITCH, root
from lr_ceiling.mnist.results import read_runs

# A study's files for people, besides its JSON.
SHOWN = {".csv", ".png"}
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--train", type=FOLDER, default="data/train", help="Folder of the cells' runs.")
@click.option("--models", type=FOLDER, default="data/models", help="Folder of the cells' models.")
@click.option("--search", type=FOLDER, default="data/search", help="Folder of the arms' studies.")
@click.option("--compare", type=FOLDER, default="state/compare", help="Folder of compared runs.")
@errors.one_line_errors
def main(train: Path, models: Path, search: Path, compare: Path) -> None:
    """Log every finished run and study to MLflow. Entries that exist already stay unchanged.

    Example: lr-ceiling log
    """
    cells, arms, pairs = _groups(train), _groups(search), _groups(compare)
    if not cells and not arms and not pairs:
        raise ResultsError(f"no runs in {train} or {search}: run `dvc repro` to make them")
    results = _digest([*cells, *arms, *pairs])
    if _stamp(results) == _read_stamp():
        click.echo("MLflow holds all of it already")
        return
    # Imported here because mlflow takes 2.4 s to import, which a call with no work avoids.
    from lr_ceiling import tracking
    from lr_ceiling.report.figures import draw_study

    if os.environ.get(SWITCH) == "off":
        click.echo(f"nothing is logged: {SWITCH}=off")
        return
    with tracking.open_store() as store:
        for cell in cells:
            found = read_runs(cell / "runs.json")
            _tell("train", cell, *store.log_train(cell.name, found, models / cell.name))
        for arm in arms:
            study = read_study(arm / "study.json").model_dump()
            found = read_runs(arm / "runs.json")
            _tell(
                "search",
                arm,
                *store.log_search(
                    arm.name,
                    study,
                    found,
                    [*_files(arm), draw_study(arm, root() / "state" / "figures")],
                ),
            )
        for pair in pairs:
            found = read_runs(pair / "runs.json")
            _tell("compare", pair, *store.log_compare(found))
    _write_stamp(results)


def _groups(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/runs.json"))


def _files(arm: Path) -> list[Path]:
    return sorted(path for path in arm.iterdir() if path.suffix in SHOWN)


def _tell(stage: str, group: Path, new: int, known: int) -> None:
    click.echo(f"{stage} {group.name}: {new} logged, {known} there already")


def _digest(groups: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        for path in [*sorted(group.glob("*.json")), *_files(group)]:
            digest.update(f"{path}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def _stamp(results: str) -> str | None:
    """A stamp that changes with the results and the database; None for a tracking server."""
    if os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    try:
        database = (root() / "mlruns" / "mlflow.db").stat()
    except FileNotFoundError:
        return None
    return f"{results} {database.st_size} {database.st_mtime_ns}\n"


def _read_stamp() -> str:
    path = _stamp_path()
    return path.read_text() if path.exists() else ""


def _write_stamp(results: str) -> None:
    stamp = _stamp(results)
    if stamp:
        write_text(_stamp_path(), stamp)


def _stamp_path() -> Path:
    # Beside the database, so that both are deleted together.
    return root() / "mlruns" / "logged"


if __name__ == "__main__":
    main()
