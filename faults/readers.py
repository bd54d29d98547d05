"""The readers of foreign files, each with a file that it takes, for `python -m faults.fuzz`."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from optuna.samplers import RandomSampler
from PIL import Image

from lr_ceiling.errors import LrCeilingError
from lr_ceiling.execution.journal import load_study
from lr_ceiling.live.picture import read_digit
from lr_ceiling.mnist import dataset
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.stages.fetch import NPM_FOLDER, read_npm_archive
from lr_ceiling.search.sampler import INDEX


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
    path.write_bytes(_idx(2, 28, 28))


def _idx(*shape: int) -> bytes:
    """An IDX file of zeros."""
    return np.array([0x800 + len(shape), *shape], ">u4").tobytes() + bytes(prod(shape))


def write_npz(path: Path) -> None:
    """Two images for training, and two for the test."""
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    dataset.write_arrays(path, dataset.Arrays(images, labels, images, labels))


def write_npm(path: Path) -> None:
    """An archive of the four files."""
    with tarfile.open(path, mode="w:gz") as archive:
        for array, name in dataset.IDX_NAMES.items():
            content = _idx(2, 28, 28) if array.endswith("images") else _idx(2)
            member = tarfile.TarInfo(f"{NPM_FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


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


def try_one(name: str, path: Path) -> None:
    """Let a reader take a file, or refuse it in one line. Passes on any other exception."""
    try:
        READERS[name].read(path)
    except LrCeilingError as error:
        # The names in an archive are shown by the stage `fetch`, in one line.
        if name != "npz" and "\n" in str(error):
            raise
