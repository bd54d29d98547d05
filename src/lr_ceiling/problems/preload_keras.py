"""Loads Keras, with the user's backend, into the server that workers are forked from.

Backend and float type are the user's. Threads and kernels are pinned, as for the networks of the
pipeline.
"""

import gc
import logging
import os

from lr_ceiling.problems.environment import TRAINING, muted_stderr

os.environ.update(TRAINING)
_failure: Exception | None = None
try:
    with muted_stderr():
        from lr_ceiling.problems import keras_run
# Raised here, it would end the server without a message to the user.
except Exception as error:
    _failure = error
# Each run collects the garbage of the run before. Frozen objects are skipped: scanning all imported
# modules would take .3 s, and workers share memory that is not scanned.
gc.collect()
gc.freeze()


def prepare() -> None:
    """Prepare a worker: one thread, and GPU memory on demand.

    Raises the error of the import, if it failed.
    """
    if _failure is not None:
        raise _failure
    # TensorFlow warns of repeated compilation, and each fresh model compiles its functions.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with muted_stderr():
        keras_run.configure()
