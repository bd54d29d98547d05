"""The environment of every process that does arithmetic, independent of the caller's settings.

Backend, float type, image format, threads, instruction sets and all other switches of the numeric
libraries are pinned, so that a run's result depends on its specification alone.
"""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

# Prefixes of the environment variables that these libraries and their dependencies read. They were
# found in the sources of keras, numpy, scipy and tensorflow, and in the strings of their binaries.
FAMILIES = (
    *("AUTOGRAPH_", "BLIS_", "CUDA_", "CUDNN_", "DNNL_", "GOMP_", "GOTO_", "HIP_", "ITEX_"),
    *("KERAS_", "KMP_", "MKL_", "NPY_", "NUMPY_", "NVIDIA_", "OMP_", "ONEDNN_"),
    *("ROCM_", "ROCR_", "SCIPY_", "TENSORFLOW_", "TF2_", "TF_", "TPU_", "VECLIB_", "XLA_"),
    # oneDNN's undocumented variables. OpenBLAS's variables are not changed: OpenBLAS computes no
    # part of a run, and some processors need them so that an old OpenBLAS does not crash.
    *("_DNNL_", "_ONEDNN_"),
)
# The settings for training, in the pipeline and for users' own models.
TRAINING = {
    # Two single-threaded trainings side by side do nearly twice the work of one with two threads,
    # and their arithmetic is deterministic.
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    # The default on this kind of processor, set explicitly: without oneDNN other kernels run and
    # give other bytes.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
SETTINGS = TRAINING | {
    # No result may depend on the machine having a GPU.
    "CUDA_VISIBLE_DEVICES": "-1",
    "KERAS_BACKEND": "tensorflow",
    # A folder that can't exist. Keras reads float type, image format and more from keras.json in
    # this folder, and uses its defaults if the file is missing.
    "KERAS_HOME": f"{os.devnull}/keras",
}


def pinned(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with all switches of the arithmetic set to their pinned values."""
    others = {name: value for name, value in environment.items() if not name.startswith(FAMILIES)}
    return others | SETTINGS


def pin() -> None:
    """Pin this process's environment. Call this before TensorFlow or Keras is imported."""
    wanted = pinned(os.environ)
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)


_MUTING = threading.RLock()


@contextlib.contextmanager
def muted_stderr() -> Iterator[None]:
    """Nothing that is written to stderr inside is seen."""
    # TensorFlow's libraries greet people on stderr, from C, before they read any log level.
    # One thread at a time: of two, the second would keep the first one's silence and bring it back.
    with _MUTING:
        kept = os.dup(2)
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
