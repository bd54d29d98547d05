"""`python -m faults.fuzz READER`: atheris feeds changed files to a reader of foreign files.

A reader may refuse a file by the errors that it promises, in one line. Any other exception, a hang
and more than 4 GB of memory end the command with libFuzzer's report, and the file is kept. atheris
(https://github.com/google/atheris) is no dependency: `pip install atheris` first.
"""

import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import atheris
import click
import numpy as np

# What takes part in reading.
READING = ["lr_ceiling", "gzip", "zipfile", "tarfile", "PIL", "ruamel.yaml"]
with atheris.instrument_imports(include=READING):
    import tarfile

    from optuna.samplers import RandomSampler
    from PIL import Image

    from lr_ceiling.errors import LrCeilingError
    from lr_ceiling.execution.journal import load_study
    from lr_ceiling.live.picture import read_digit
    from lr_ceiling.mnist import dataset
    from lr_ceiling.pipeline import params
    from lr_ceiling.pipeline.stages.fetch import read_npm_archive
    from lr_ceiling.search.sampler import INDEX

IMAGES = "package/data/train-images-idx3-ubyte"
# The files that atheris found to take new paths, and the first one, which is whole.
CORPUS = Path("state/faults/fuzz")
OPTIONS = ("-rss_limit_mb=4096", "-timeout=60", "-max_len=20000", "-print_final_stats=1")


@dataclass(frozen=True)
class Reader:
    """A reader of foreign files, and what writes one that it takes."""

    read: Callable[[Path], object]
    write: Callable[[Path], object]


def read_idx(path: Path) -> None:
    """An IDX file of images."""
    with path.open("rb") as stream:
        dataset.read_idx(stream, path.name, "train_images")


def write_idx(path: Path) -> None:
    """Two images."""
    path.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(2 * 784))


def write_npz(path: Path) -> None:
    """Two images for training, and two for the test."""
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    dataset.write_arrays(path, dataset.Arrays(images, labels, images, labels))


def write_npm(path: Path) -> None:
    """An archive of one of the four files."""
    content = io.BytesIO()
    write_idx(path)
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.add(path, IMAGES)
    path.write_bytes(content.getvalue())


def write_picture(path: Path) -> None:
    """A stroke."""
    ink = np.full((40, 40), 255, np.uint8)
    ink[10:30, 18:22] = 0
    Image.fromarray(ink).save(path, "PNG")


def read_journal(path: Path) -> None:
    """A study's journal."""
    load_study(path, "study", RandomSampler())


def write_journal(path: Path) -> None:
    """A trial that ended."""
    path.unlink(missing_ok=True)
    study = load_study(path, "study", RandomSampler(seed=0))
    trial = study.ask()
    trial.set_user_attr(INDEX, 0)
    trial.suggest_float("learning_rate", 0.1, 1, log=True)
    study.tell(trial, 1.0)


def write_params(path: Path) -> None:
    """The project's own."""
    path.write_bytes(params.PARAMS_FILE.read_bytes())


READERS = {
    "idx": Reader(read_idx, write_idx),
    "npz": Reader(dataset.read_arrays, write_npz),
    "npm": Reader(read_npm_archive, write_npm),
    "picture": Reader(read_digit, write_picture),
    "journal": Reader(read_journal, write_journal),
    "params": Reader(params.load, write_params),
}


@click.command()
@click.argument("name", type=click.Choice(list(READERS)))
@click.option("--minutes", type=float, default=10, show_default=True)
def main(name: str, minutes: float) -> None:
    """Feed changed files to a reader. Those that take new paths are kept in state/faults/fuzz."""
    reader = READERS[name]
    corpus = CORPUS / name
    corpus.mkdir(parents=True, exist_ok=True)
    reader.write(corpus / "whole")
    with tempfile.TemporaryDirectory(prefix="lr-ceiling-fuzz-") as folder:
        path = Path(folder) / "file"

        def try_one(content: bytes) -> None:
            path.write_bytes(content)
            try:
                reader.read(path)
            except LrCeilingError as error:
                # The names in an archive are shown by the stage `fetch`, in one line.
                if name != "npz" and "\n" in str(error):
                    raise

        arguments = [sys.argv[0], str(corpus), f"-max_total_time={round(60 * minutes)}", *OPTIONS]
        atheris.Setup(arguments, try_one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
