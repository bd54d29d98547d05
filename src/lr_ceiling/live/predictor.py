"""What saved models predict, asked in a process of its own: TensorFlow stays out of the driver."""

import statistics
import textwrap
import time
import zipfile
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from lr_ceiling.errors import RegistryError, ResultsError, WorkerError
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.live.accuracy import Probabilities
from lr_ceiling.mnist.dataset import IMAGE, Bytes
from lr_ceiling.mnist.task import PREPARED_BY

# Single images that are timed: 5 ms each.
TIMED = 10
# Images that are predicted at once.
PART = 500
SHAPES = (None, *IMAGE, 1), (None, 10)

Inputs: TypeAlias = npt.NDArray[np.float32]
# Images (n, 28, 28, 1) to probabilities (n, 10).
Network: TypeAlias = Callable[[Inputs], Probabilities]


@dataclass(frozen=True)
class Prediction:
    """Probabilities (n, 10) of n images, and the median time of one image alone, in ms."""

    probabilities: Probabilities
    latency_ms: float


class Predictor:
    """Loads models and lets them predict; a context manager. It holds one process of one thread.

    With one thread equal models predict equally to the last bit.
    """

    def __init__(self) -> None:
        self._executor = local_executor(1, PREPARED_BY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(cancel_futures=True)

    def of_file(self, path: Path, images: Bytes) -> Prediction:
        """What the .keras file predicts for images (n, 28, 28); no code of the file is run.

        Raises ResultsError for a file that is damaged or holds another kind of network, and
        RegistryError for one whose weights are not finite.
        """
        # The process keeps the folder that it was started in.
        return self._ask(_of_file, path.absolute(), images)

    def of_version(self, store: str, name: str, number: int, images: Bytes) -> Prediction:
        """What a registered version predicts, loaded by MLflow alone. Raises RegistryError."""
        return self._ask(_of_version, store, name, number, images)

    def _ask(self, question: Any, *about: object) -> Prediction:
        try:
            answer: Prediction = self._executor.submit(question, *about).result()
        except BrokenProcessPool:
            raise WorkerError(
                "the process that loads the models was killed: free some memory and try again"
            ) from None
        return answer


def as_input(images: Bytes) -> Inputs:
    """Images (n, 28, 28) of uint8 as the networks take them: (n, 28, 28, 1) in [0, 1]."""
    return (images[..., np.newaxis] / 255).astype(np.float32)


def network_of(loaded: Any) -> Network:
    """Images (n, 28, 28, 1) to probabilities (n, 10) by the network that MLflow loaded.

    Called by itself it answers for an image in 5 ms. MLflow's wrapper takes 48: it sets up Keras's
    `predict` anew for every call, with a progress bar.
    """
    network = loaded.get_raw_model()
    return lambda inputs: np.asarray(network(inputs, training=False))


def check_answer(where: str, network: Network) -> None:
    """Raise RegistryError unless a network gives an empty image ten finite probabilities.

    `where` names it in the message.
    """
    empty = np.zeros((1, *IMAGE), dtype=np.uint8)
    try:
        probabilities = network(as_input(empty))
    # TensorFlow has an exception for every way in which shapes don't fit.
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
        raise RegistryError(f"{where} doesn't answer an image ({reason}): retrain it") from None
    _check_probabilities(where, probabilities, 1)


def _of_file(path: Path, images: Bytes) -> Prediction:
    import keras

    # Keras reads other formats as well, some of which can hold code.
    if not zipfile.is_zipfile(path) or path.suffix != ".keras":
        raise ResultsError(f"{path} is no .keras file: name one that Keras saved")
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever a damaged archive makes it.
    except Exception as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
        raise ResultsError(f"{path} can't be loaded ({reason}): run `dvc repro`") from None
    if (network.input_shape, network.output_shape) != SHAPES:
        raise ResultsError(
            f"{path} takes {network.input_shape} to {network.output_shape}: "
            f"a network of digits takes {SHAPES[0]} to {SHAPES[1]}"
        )
    return _predict(path, lambda inputs: np.asarray(network(inputs, training=False)), images)


def _of_version(store: str, name: str, number: int, images: Bytes) -> Prediction:
    # Late, since mlflow takes 2.4 s to import.
    from lr_ceiling.live import registry

    loaded = registry.load(store, name, number)
    return _predict(f"models:/{name}/{number}", network_of(loaded), images)


def _predict(where: object, network: Network, images: Bytes) -> Prediction:
    inputs = as_input(images)
    # In parts: the first layer alone makes 86 KB of an image.
    parts = np.split(inputs, range(PART, len(inputs), PART))
    probabilities = np.concatenate([network(part) for part in parts])
    _check_probabilities(where, probabilities, len(images))
    seconds = []
    for _ in range(TIMED):
        started = time.perf_counter()
        network(inputs[:1])
        seconds.append(time.perf_counter() - started)
    return Prediction(probabilities, 1000 * statistics.median(seconds))


def _check_probabilities(where: object, probabilities: Probabilities, images: int) -> None:
    if probabilities.shape != (images, 10) or not np.isfinite(probabilities).all():
        raise RegistryError(f"{where} doesn't give ten finite probabilities an image: retrain it")
