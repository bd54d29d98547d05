"""What a registered model may hold: loading it must run no code of its own."""

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent

from lr_ceiling.errors import RegistryError

# The module that MLflow is told to import, and where that looks for the network.
LOADER = "mlflow.keras"
DATA = "data"
# Keys of MLflow's python_function by which a model brings code, or has its files elsewhere.
FOREIGN = ("code", "config", "data", "model_code_path")
# The file tells what loads the model; a larger one is none.
MAX_BYTES = 1_000_000


def check_artifact(folder: Path) -> None:
    """Raise RegistryError unless the model in `folder` is a .keras file that MLflow loads itself.

    MLflow imports whatever module a model's MLmodel names, and code that lies beside it.
    """
    flavors = _flavors(folder / "MLmodel")
    function, network = flavors.get("python_function"), flavors.get("keras")
    if not isinstance(function, dict) or not isinstance(network, dict):
        raise RegistryError("its MLmodel has not the flavors keras and python_function")
    loader = function.get("loader_module")
    if loader != LOADER:
        raise RegistryError(f"its MLmodel names the loader {loader!r:.50}, not {LOADER}")
    foreign = [key for key in FOREIGN if key in function]
    if foreign:
        raise RegistryError(f"its MLmodel brings {foreign[0]} of its own")
    if network.get("data") != DATA or network.get("save_exported_model"):
        raise RegistryError("its MLmodel names another file than data/model.keras")


def _flavors(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RegistryError("its MLmodel is too large")
        # The safe loader builds no objects.
        yaml = YAML(typ="safe", pure=True)
        text = path.read_text(encoding="utf-8")
        # They can make a text that fills the memory from ten lines; MLflow writes none.
        if any(isinstance(event, AliasEvent) for event in yaml.parse(text)):
            raise RegistryError("its MLmodel has aliases")
        flavors = yaml.load(text)["flavors"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError, YAMLError) as error:
        raise RegistryError(f"its MLmodel can't be read: {type(error).__name__}") from None
    if not isinstance(flavors, dict):
        raise RegistryError("its MLmodel has no flavors")
    return flavors
