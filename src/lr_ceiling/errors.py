"""Errors that the user can fix.

    LrCeilingError
    ├── ParamsError       params.yaml or an option has an impossible value
    ├── SourceError       no source gave MNIST
    ├── DatasetError      a data file is missing, damaged or has wrong contents
    ├── ValidationError   the data breaks its specification
    ├── ResultsError      a results file is missing or unreadable
    ├── ProblemError      a run raised an exception, or its result can't be judged
    ├── StudyError        a stored study belongs to another question
    ├── MissingExtra      a library of an extra is not installed
    ├── WorkerError       a run kept killing its worker
    ├── TrackingError     MLflow can't be reached, or refuses a request
    ├── RegistryError     a model version is missing or can't be loaded
    ├── ServingError      the champion can't be served over HTTP
    ├── PipelineError     `dvc repro` failed
    └── LockedError       another process holds the lock of a study or store

A command prints each of them as one line and ends with exit code 1. Any other exception is a bug
and keeps its traceback.
"""

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class LrCeilingError(Exception):
    """Base of all errors that a user can cause; the message is one line unless it holds a table."""


class ParamsError(LrCeilingError):
    """params.yaml or a command's option holds an unknown key or an impossible value."""


class SourceError(LrCeilingError):
    """None of the sources of MNIST answered with the known arrays."""


class DatasetError(LrCeilingError):
    """A data file is missing, damaged or too large, or holds the wrong arrays."""


class ValidationError(LrCeilingError):
    """The data breaks the specification of MNIST, so nothing may be trained on it."""


class ResultsError(LrCeilingError):
    """A file that an earlier stage should have written is missing or unreadable."""


class ProblemError(LrCeilingError):
    """A run of a problem raised an exception, or returned a value that can't be judged."""


class StudyError(LrCeilingError):
    """A stored study was started with other arguments, another problem or other libraries."""


class MissingExtra(LrCeilingError):  # noqa: N818
    """A library of one of the package's extras is not installed."""


class WorkerError(LrCeilingError):
    """A run ended its worker process at every attempt."""


class TrackingError(LrCeilingError):
    """The tracking store can't be reached, or refuses a request."""


class RegistryError(LrCeilingError):
    """A model version is missing from the registry, or can't be loaded."""


class ServingError(LrCeilingError):
    """The champion can't be served: the port is taken, or the server doesn't come up."""


class PipelineError(LrCeilingError):
    """A stage failed under `dvc repro`."""


class LockedError(LrCeilingError):
    """Another process holds the lock of the same study or store."""


def one_line_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Make `command` end with exit code 1 and `error: ...` on stderr for a LrCeilingError."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except LrCeilingError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)

    return wrapped
