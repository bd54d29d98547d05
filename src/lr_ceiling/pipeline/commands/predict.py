"""`lr-ceiling predict`: the digit in a picture, by the best network of the grid."""

from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.evidence.comparison import best_run
from lr_ceiling.live.picture import doubt, read_digit
from lr_ceiling.live.predictor import Predictor
from lr_ceiling.mnist.results import read_runs

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument(
    "pictures", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--model", type=click.Path(path_type=Path), help="Default: the grid's best model.")
@click.option("--train", type=FOLDER, default="data/train", help="Folder of the cells' runs.")
@click.option("--models", type=FOLDER, default="data/models", help="Folder of the cells' models.")
@one_line_errors
def main(pictures: tuple[Path, ...], model: Path | None, train: Path, models: Path) -> None:
    """Print the most probable digit in each picture and the next one, with their probabilities.

    A picture holds one digit of any size, position and colour, on a uniform background.
    """
    digits = np.stack([read_digit(path) for path in pictures])
    network = model or best_model(train, models)
    if not network.is_file():
        raise ResultsError(f"{network} is missing: run `dvc repro` to make it, or name a --model")
    with Predictor() as predictor:
        answers = predictor.of_file(network, digits).probabilities
    for path, digit, answer in zip(pictures, digits, answers, strict=True):
        click.echo(f"{path}: {in_words(answer)}")
        if told := doubt(digit):
            click.echo(f"{path} may be no digit: {told}", err=True)


def in_words(probabilities: NDArray[np.floating]) -> str:
    """The most probable digit and the next one."""
    best, next_best = np.argsort(-probabilities, kind="stable")[:2]
    return f"{best} ({probabilities[best]:.1%}), else {next_best} ({probabilities[next_best]:.1%})"


def best_model(train: Path, models: Path) -> Path:
    """The best seed's network of the cell with the best mean accuracy on the validation split.

    Raises ResultsError if `train` holds no runs.
    """
    cells = {path.parent.name: read_runs(path) for path in sorted(train.glob("*/runs.json"))}
    if not cells:
        raise ResultsError(f"no runs in {train}: run `dvc repro` to make them, or name a --model")
    cell, best = best_run(cells)
    return models / cell / f"seed-{best.spec.seed}.keras"


if __name__ == "__main__":
    main()
