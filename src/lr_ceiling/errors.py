"""What can go wrong for a reason that the user can mend.

    LrCeilingError
    ├── ParamsError       params.yaml or an option says something impossible
    ├── SourceError       no source gave MNIST
    ├── DatasetError      a data file is not what it must be
    ├── ValidationError   the data breaks its specification
    ├── ResultsError      a results file is missing or unreadable
    ├── ProblemError      a problem raised, or gave what can't be judged
    ├── StudyError        a study was begun for another question
    ├── MissingExtra      a library of an extra is not installed
    ├── WorkerError       a run kept killing its worker
    ├── TrackingError     MLflow can't be reached, or refuses what is sent
    ├── RegistryError     no such model version, or one that can't be loaded
    ├── ServingError      the champion can't be served over HTTP
    ├── PipelineError     `dvc repro` failed
    └── LockedError       another process works on the same thing

Each is told in one line and ends the command with exit code 1. Anything else is a bug and keeps
its traceback.
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
    """A data file is missing, damaged, too large, or holds other arrays than it must."""


class ValidationError(LrCeilingError):
    """The data breaks the specification of MNIST, so nothing may be trained on it."""


class ResultsError(LrCeilingError):
    """A file that an earlier stage should have written is missing or unreadable."""


class ProblemError(LrCeilingError):
    """A run of a problem raised, or returned what can't be judged."""


class StudyError(LrCeilingError):
    """A stored study was begun with other arguments, another problem or other libraries."""


class MissingExtra(LrCeilingError):  # noqa: N818
    """A library is not installed that comes with an extra of the package."""


class WorkerError(LrCeilingError):
    """A run ended its worker process every time that it was tried."""


class TrackingError(LrCeilingError):
    """The tracking store can't be reached, or refuses what is sent."""


class RegistryError(LrCeilingError):
    """The model registry lacks what is asked for, or holds a model that can't be loaded."""


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
