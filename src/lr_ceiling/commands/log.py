"""`lr-ceiling log`: send finished runs to MLflow, those that DVC took from its cache as well."""

import os
from pathlib import Path

import click

from lr_ceiling import errors, runs, tracking
from lr_ceiling.errors import ResultsError

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--train", type=FOLDER, default="data/train", help="Folder of the cells' runs.")
@click.option("--models", type=FOLDER, default="data/models", help="Folder of the cells' models.")
@click.option("--search", type=FOLDER, default="data/search", help="Folder of the arms' studies.")
@click.option("--compare", type=FOLDER, default="state/compare", help="Folder of compared runs.")
@errors.one_line_errors
def main(train: Path, models: Path, search: Path, compare: Path) -> None:
    """Log every finished run and study to MLflow; what is there already stays as it is.

    Example: lr-ceiling log
    """
    if os.environ.get(tracking.SWITCH) == "off":
        click.echo(f"nothing is logged: {tracking.SWITCH}=off")
        return
    cells, arms, pairs = _groups(train), _groups(search), _groups(compare)
    if not cells and not arms and not pairs:
        raise ResultsError(f"no runs in {train} or {search}: run `dvc repro` to make them")
    with tracking.open_store() as store:
        for cell in cells:
            results = runs.read_runs(cell / "runs.json")
            _tell("train", cell, store.log_train(cell.name, results, models / cell.name))
        for arm in arms:
            study = runs.read_study(arm / "study.json").model_dump()
            results = runs.read_runs(arm / "runs.json")
            _tell("search", arm, store.log_search(arm.name, study, results))
        for pair in pairs:
            results = runs.read_runs(pair / "runs.json")
            _tell("compare", pair, store.log_compare(results))


def _groups(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("*/runs.json"))


def _tell(stage: str, group: Path, logged: tracking.Logged) -> None:
    click.echo(f"{stage} {group.name}: {logged.new} logged, {logged.known} there already")


if __name__ == "__main__":
    main()
