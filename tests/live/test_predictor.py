"""Predictions in a process of their own, and what can go wrong there."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lr_ceiling.errors import RegistryError, ResultsError, WorkerError
from lr_ceiling.live.predictor import Predictor, as_input
from lr_ceiling.mnist import dataset, engine
from lr_ceiling.mnist.results import RunResult

engine.configure()

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
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


def test_what_is_no_network_is_an_error(
    predictor: Predictor, trained: Trained, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(b"no network")
    with pytest.raises(ResultsError, match=r"is no \.keras file"):
        predictor.of_file(path, IMAGES)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predictor.of_file(path, IMAGES)
    path.write_bytes(trained[0][1].read_bytes()[:-5000])
    with pytest.raises(ResultsError):
        predictor.of_file(path, IMAGES)


def test_a_network_of_other_shapes_is_an_error(predictor: Predictor, tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((8,)), keras.layers.Dense(10)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match=r"takes \(None, 8\) to \(None, 10\)"):
        predictor.of_file(tmp_path / "model.keras", IMAGES)


def test_code_in_a_file_is_not_run(predictor: Predictor, tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((28, 28, 1)), keras.layers.Lambda(lambda x: x)]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    with pytest.raises(ResultsError, match="can't be loaded"):
        predictor.of_file(tmp_path / "model.keras", IMAGES)


def test_weights_that_are_not_finite_are_no_model(
    predictor: Predictor, trained: Trained, tmp_path: Path
) -> None:
    import keras

    model = keras.saving.load_model(trained[0][1])
    model.layers[-2].bias.assign(np.full(10, np.nan))
    model.save(tmp_path / "nan.keras")
    with pytest.raises(RegistryError, match="doesn't give ten finite probabilities"):
        predictor.of_file(tmp_path / "nan.keras", np.zeros((1, 28, 28), dtype=np.uint8))


# What mlflow finds when it is imported, and whether tensorflow is.
IMPORTS = """
import os, sys
class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == "mlflow":
            print(os.environ["MLFLOW_DISABLE_TELEMETRY"])
sys.meta_path.insert(0, Watcher())
import lr_ceiling.live.gate
print("tensorflow" in sys.modules)
"""


def test_the_driver_imports_no_tensorflow_and_mlflow_with_its_settings() -> None:
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "true\nFalse\n"


def test_a_killed_process_is_told() -> None:
    with Predictor() as predictor:
        assert predictor._executor.submit(os.getpid).result() != os.getpid()
        with pytest.raises(WorkerError, match="was killed"):
            predictor._ask(os._exit, 1)
