"""Saved networks loaded and asked, and files that are none."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from lr_ceiling import network, predicting
from lr_ceiling.errors import ResultsError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of the project's, untrained."""
    path = tmp_path_factory.mktemp("model") / "model.keras"
    network.build("batchnorm", "relu", seed=1).save(path)
    return path


def test_a_saved_network_says_what_it_said(saved: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    said = predicting.probabilities(predicting.load(saved), images)
    built = network.build("batchnorm", "relu", seed=1)
    expected = built(images[..., np.newaxis] / np.float32(255), training=False)
    np.testing.assert_allclose(said, expected, rtol=1e-5)
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)


def test_what_is_no_network_is_an_error(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with pytest.raises(ResultsError, match=r"model\.keras is missing"):
        predicting.load(path)
    path.write_bytes(b"no network")
    with pytest.raises(ResultsError, match=r"is no \.keras file"):
        predicting.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predicting.load(path)
    path.write_bytes(saved.read_bytes()[:-5000])
    with pytest.raises(ResultsError):
        predicting.load(path)


def test_a_network_of_other_shapes_is_an_error(tmp_path: Path) -> None:
    layers = [keras.Input((8,)), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match=r"takes \(None, 8\) to \(None, 10\)"):
        predicting.load(tmp_path / "model.keras")


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    layers = [keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predicting.load(tmp_path / "model.keras")
