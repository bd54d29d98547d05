"""Imported by the server that workers are forked from: Keras, with the backend that the user chose.

Backend and float type stay the user's own. Threads and the kinds of kernels are pinned, as for the
networks of the pipeline.
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
# Here it would end the server, and nobody would learn why.
except Exception as error:
    _failure = error
# Each run collects what the one before has left. It need not look through what was imported, which
# would take .3 s, and workers share the memory that nobody looks at.
gc.collect()
gc.freeze()


def prepare() -> None:
    """Prepare a worker: one thread; of the GPUs that it may see no more memory than it needs.

    Raises what the import raised.
    """
    if _failure is not None:
        raise _failure
    # It warns of functions that are compiled again and again, as those of fresh models are.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with muted_stderr():
        keras_run.configure()
