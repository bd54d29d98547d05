"""A saved network has the same bytes each time, and is whole or not there."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from lr_ceiling.errors import ResultsError
from lr_ceiling.mnist import network
from lr_ceiling.mnist.model_file import save_model


def test_equal_networks_have_equal_bytes_and_others_differ(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        save_model(network.build("batchnorm", "relu", seed), tmp_path / "new" / f"{name}.keras")
    a, b, c = ((tmp_path / "new" / f"{name}.keras").read_bytes() for name in "abc")
    assert a == b
    assert a != c
    assert len(list((tmp_path / "new").iterdir())) == 3


def test_plain_keras_loads_it(tmp_path: Path) -> None:
    model = network.build("baseline", "sigmoid", seed=0)
    save_model(model, tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_save_that_fails_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.mkdir()
    with pytest.raises(ResultsError, match=r"model\.keras can't be written") as error:
        save_model(network.build("baseline", "relu", seed=0), path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]
