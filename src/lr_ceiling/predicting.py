"""What saved models predict, asked in a process of its own: TensorFlow stays out of the driver."""

import multiprocessing
import os
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lr_ceiling import workers
from lr_ceiling.dataset import IMAGE, Bytes
from lr_ceiling.errors import ResultsError

SHAPES = (None, *IMAGE, 1), (None, 10)


@dataclass(frozen=True)
class Prediction:
    """Probabilities (n, 10) of n images."""

    probabilities: NDArray[np.float32]


class Predictor:
    """Loads models and lets them predict; a context manager. It holds one process of one thread.

    With one thread equal models predict equally to the last bit.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        begin = (os.getpid(), context.RawArray("q", 1))
        self._executor = ProcessPoolExecutor(1, context, workers._begin, begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def of_file(self, path: Path, images: Bytes) -> Prediction:
        """What the `.keras` file predicts for images (n, 28, 28); no code of the file is run.

        Raises ResultsError for a file that is damaged or holds another kind of network.
        """
        # The process keeps the folder that it was started in.
        return self._executor.submit(_of_file, path.absolute(), images).result()


def _of_file(path: Path, images: Bytes) -> Prediction:
    import keras

    # Keras reads other formats as well, some of which can hold code.
    if not zipfile.is_zipfile(path) or path.suffix != ".keras":
        raise ResultsError(f"{path} is no .keras file: name one that Keras saved")
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever a damaged archive makes it.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ResultsError(f"{path} can't be loaded ({reason}): run `dvc repro`") from None
    if (network.input_shape, network.output_shape) != SHAPES:
        raise ResultsError(
            f"{path} takes {network.input_shape} to {network.output_shape}: "
            f"a network of digits takes {SHAPES[0]} to {SHAPES[1]}"
        )
    inputs = (images[..., np.newaxis] / 255).astype(np.float32)
    return Prediction(np.asarray(network(inputs, training=False)))
