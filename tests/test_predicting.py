"""Predictions in a process of their own, and what can go wrong there."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lr_ceiling import dataset
from lr_ceiling.errors import RegistryError, WorkerError
from lr_ceiling.predicting import Predictor, as_input
from lr_ceiling.runs import RunResult

Trained = list[tuple[RunResult, Path]]


@pytest.fixture(scope="module")
def predictor() -> Iterator[Predictor]:
    with Predictor() as predictor:
        yield predictor


def test_a_file_predicts_as_keras_itself(
    predictor: Predictor, trained: Trained, small_splits: Path
) -> None:
    import keras

    images = dataset.read_split(small_splits, "test").images
    model = keras.saving.load_model(trained[0][1])
    prediction = predictor.of_file(trained[0][1], images)
    np.testing.assert_allclose(
        prediction.probabilities, np.asarray(model(as_input(images))), atol=1e-5
    )
    again = predictor.of_file(trained[0][1], images)
    assert (again.probabilities == prediction.probabilities).all()
    assert prediction.latency_ms > 0


def test_bytes_become_what_the_networks_take() -> None:
    images = np.array([[[0, 255]]], dtype=np.uint8)
    inputs = as_input(images)
    assert inputs.shape == (1, 1, 2, 1)
    assert inputs.dtype == np.float32
    assert inputs.ravel().tolist() == [0, 1]


def test_a_damaged_file_is_one_line(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "seed-0.keras"
    path.write_bytes(b"damaged")
    with pytest.raises(RegistryError, match=r"seed-0\.keras can't be loaded \(.*\): run `dvc"):
        predictor.of_file(path, np.zeros((1, 28, 28), dtype=np.uint8))


def test_weights_that_are_not_finite_are_no_model(
    predictor: Predictor, trained: Trained, tmp_path: Path
) -> None:
    import keras

    model = keras.saving.load_model(trained[0][1])
    model.layers[-2].bias.assign(np.full(10, np.nan))
    model.save(tmp_path / "nan.keras")
    with pytest.raises(RegistryError, match="doesn't give ten finite probabilities"):
        predictor.of_file(tmp_path / "nan.keras", np.zeros((1, 28, 28), dtype=np.uint8))


def test_the_driver_imports_no_tensorflow() -> None:
    code = "import lr_ceiling.gate, lr_ceiling.predicting, sys; print('tensorflow' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_a_killed_process_is_told(predictor: Predictor) -> None:
    """The last one: the process that all the others used is gone after it."""
    assert predictor._executor.submit(os.getpid).result() != os.getpid()
    with pytest.raises(WorkerError, match="was killed"):
        predictor._ask(os._exit, 1)
