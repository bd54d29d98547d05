"""Loads TensorFlow, with a pinned environment, into the server that workers are forked from.

A worker then starts in milliseconds, and shares the imported modules' memory with other workers.
"""

from lr_ceiling.problems.environment import muted_stderr, pin

pin()
_failure: Exception | None = None
try:
    with muted_stderr():
        from lr_ceiling.mnist import engine
# Raised here, it would end the server without a message to the user.
except Exception as error:
    _failure = error


def prepare() -> None:
    """Prepare a worker: one thread, no GPU. Raises the error of the import, if it failed."""
    if _failure is not None:
        raise _failure
    with muted_stderr():
        engine.configure()
