"""Imported by the server that workers are forked from: TensorFlow, with a pinned environment.

A worker then starts in milliseconds, and shares the memory of the import with its siblings.
"""

from lr_ceiling.problems.environment import muted_stderr, pin

pin()
_failure: Exception | None = None
try:
    with muted_stderr():
        from lr_ceiling.mnist import engine
# Here it would end the server, and nobody would learn why.
except Exception as error:
    _failure = error


def prepare() -> None:
    """Prepare a worker: one thread, no GPU. Raises what the import raised."""
    if _failure is not None:
        raise _failure
    with muted_stderr():
        engine.configure()
