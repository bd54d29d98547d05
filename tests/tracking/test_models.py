"""Logged models are what MLflow itself writes and loads."""

from pathlib import Path

import numpy as np
import pytest

from logged import client, logged_runs, make_run
from lr_ceiling import tracking
from lr_ceiling.tracking.models import SIGNATURE


@pytest.fixture
def keras_file(tmp_path: Path) -> Path:
    """A saved network of MNIST's shapes."""
    import keras

    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    path = tmp_path / "seed-0.keras"
    keras.Sequential(layers).save(path)
    return path


def test_models_load_back_with_equal_predictions(
    project: Path, keras_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras
    import mlflow
    import mlflow.keras

    with tracking.open_store() as store:
        store.log_train("baseline-relu-0.01", [make_run()], keras_file.parent)
    (run,) = logged_runs(client(project), "train")
    assert run.outputs is not None
    (output,) = run.outputs.model_outputs
    logged = client(project).get_logged_model(output.model_id)
    assert logged.name == "baseline-relu-0_01-seed-0"
    uri = f"models:/{output.model_id}"
    store_uri = f"sqlite:///{project}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store_uri)
    # It goes before the variable, and another test may have set it.
    mlflow.set_tracking_uri(store_uri)
    images = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)
    expected = keras.models.load_model(keras_file).predict(images, verbose=0)
    loaded = mlflow.keras.load_model(uri)
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    served = mlflow.pyfunc.load_model(uri)
    np.testing.assert_allclose(served.predict(images), expected, rtol=1e-6)
    assert served.metadata.signature == SIGNATURE
    client(project).create_registered_model("mnist")
    registered = client(project).create_model_version("mnist", uri, run.info.run_id)
    client(project).set_registered_model_alias("mnist", "champion", registered.version)
    np.testing.assert_array_equal(
        mlflow.keras.load_model("models:/mnist@champion").predict(images, verbose=0), expected
    )
