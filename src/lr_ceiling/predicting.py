"""What a saved network says of images, in this process.

Importing this imports TensorFlow, which takes 5 s: import it late.
"""

import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lr_ceiling.dataset import IMAGE, Bytes
from lr_ceiling.errors import ResultsError
from lr_ceiling.terminal import muted_stderr
from lr_ceiling.workers import ENVIRONMENT

# As in a worker: on one thread the same network and image give the same bits.
os.environ.update(ENVIRONMENT)
with muted_stderr():
    import keras


def load(path: Path) -> keras.Model:
    """Load a `.keras` file that takes images (n, 28, 28, 1) in [0, 1] to probabilities (n, 10).

    No code of the file is run. Raises ResultsError for a file that is missing, damaged, or holds
    another kind of network.
    """
    if not path.is_file():
        raise ResultsError(f"{path} is missing: name a .keras file, or run `dvc repro` to make it")
    if not zipfile.is_zipfile(path) or path.suffix != ".keras":
        raise ResultsError(f"{path} is no .keras file: name one that Keras saved")
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever its parts meet in a damaged or hostile archive.
    except Exception as error:
        raise ResultsError(f"{path} can't be loaded: {_first_line(error)}") from None
    if (model.input_shape, model.output_shape) != ((None, *IMAGE, 1), (None, 10)):
        raise ResultsError(
            f"{path} takes {model.input_shape} to {model.output_shape}: "
            "a network of digits takes (None, 28, 28, 1) to (None, 10)"
        )
    return model


def probabilities(model: keras.Model, images: Bytes) -> NDArray[np.float32]:
    """What `model` gives each digit (n, 10) of images (n, 28, 28)."""
    scaled = images[..., np.newaxis].astype(np.float32) / 255
    return np.asarray(model(scaled, training=False))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
