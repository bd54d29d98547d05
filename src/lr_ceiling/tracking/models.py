"""The files of a model as MLflow keeps them, made without importing Keras."""

import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from mlflow import MlflowClient, pyfunc
from mlflow.entities import LoggedModelOutput, LoggedModelStatus, Run
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from lr_ceiling.mnist.results import RunResult
from lr_ceiling.tracking.names import model_name

SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("float32"), (-1, 28, 28, 1))]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 10))]),
)


def log_model(client: MlflowClient, run: Run, result: RunResult, keras_file: Path) -> str:
    """Log the model that a run trained; returns MLflow's id of it."""
    logged = client.create_logged_model(
        run.info.experiment_id,
        model_name(result.spec),
        run.info.run_id,
        {"key": result.spec.key},
    )
    output = LoggedModelOutput(logged.model_id, step=result.steps)
    client.log_outputs(run.info.run_id, [output])
    model = Model(
        artifact_path=logged.artifact_location,
        run_id=run.info.run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        signature=SIGNATURE,
    )
    with tempfile.TemporaryDirectory() as folder:
        _write_model(Path(folder), model, keras_file)
        client.log_model_artifacts(logged.model_id, folder)
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)
    return str(logged.model_id)


def _write_model(folder: Path, model: Model, keras_file: Path) -> None:
    """The folder that `mlflow.keras.save_model` writes, without the 5 s of importing Keras."""
    data = folder / "data"
    data.mkdir()
    shutil.copyfile(keras_file, data / "model.keras")
    (data / "keras_module.txt").write_text("keras")
    packages = [f"{name}=={version(name)}" for name in ("mlflow", "keras", "tensorflow")]
    (folder / "requirements.txt").write_text("\n".join(packages) + "\n")
    (folder / "python_env.yaml").write_text(
        f"python: {platform.python_version()}\ndependencies:\n- -r requirements.txt\n"
    )
    model.add_flavor(
        "keras",
        data="data",
        keras_version=version("keras"),
        keras_backend="tensorflow",
        save_exported_model=False,
    )
    pyfunc.add_to_model(model, loader_module="mlflow.keras", python_env="python_env.yaml")
    model.model_size_bytes = keras_file.stat().st_size
    model.save(folder / "MLmodel")
