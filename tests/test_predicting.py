"""Saved networks loaded and asked, and files that are none."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from lr_ceiling import network
from lr_ceiling.errors import ResultsError
from lr_ceiling.predicting import Predictor

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    """A process that loads and asks."""
    with Predictor() as predictor:
        yield predictor


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the project's, untrained."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.build("batchnorm", "relu", seed=1).save(path)
    return path


def test_a_saved_network_says_what_it_said(predictor: Predictor, saved: Path) -> None:
    said = predictor.of_file(saved, IMAGES).probabilities
    built = network.build("batchnorm", "relu", seed=1)
    expected = built(IMAGES[..., np.newaxis] / np.float32(255), training=False)
    np.testing.assert_allclose(said, expected, rtol=1e-4)
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)


def test_what_is_no_network_is_an_error(predictor: Predictor, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"no network")
    with pytest.raises(ResultsError, match=r"is no \.keras file"):
        predictor.of_file(path, IMAGES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predictor.of_file(path, IMAGES)
    path.write_bytes(saved.read_bytes()[:-5000])
    with pytest.raises(ResultsError):
        predictor.of_file(path, IMAGES)


def test_a_network_of_other_shapes_is_an_error(predictor: Predictor, tmp_path: Path) -> None:
    layers = [keras.Input((8,)), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match=r"takes \(None, 8\) to \(None, 10\)"):
        predictor.of_file(tmp_path / "model.keras", IMAGES)


def test_code_in_a_file_is_not_run(predictor: Predictor, tmp_path: Path) -> None:
    layers = [keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predictor.of_file(tmp_path / "model.keras", IMAGES)
