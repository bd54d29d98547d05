"""The pipeline's runs on a cluster: their requirements, and the handling of a lost cluster."""

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.admission import Versioned
from lr_ceiling.execution.cluster import DaskCluster
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.execution.remote import Files, Needs
from lr_ceiling.mnist.task import PREPARED_BY
from lr_ceiling.mnist.version import LIBRARIES
from lr_ceiling.problems.environment import pinned

# Seconds after which a second worker gets the same run: a hundred times the longest run of the
# committed results.
TIME_OUT = 3600.0


@contextlib.contextmanager
def opened(address: str, splits: Path, returned: Path | None) -> Iterator[tuple[Executor, int]]:
    """Yield an executor on a scheduler's workers, and their present number, at least one.

    Raises WorkerError if no scheduler answers, or if no worker is admitted.
    """
    needs = Needs(
        Versioned(LIBRARIES, {"engine": "lr_ceiling.mnist.version:ENGINE_VERSION"}),
        Files({splits: sha256_of(splits)}, returned),
        PREPARED_BY,
        pinned(os.environ),
        one_thread=True,
    )
    try:
        with DaskCluster(address, strict=True, time_out=TIME_OUT).opened(needs) as executor:
            yield executor, executor.places
    except WorkerError as error:
        raise type(error)(
            f"{error}; finished runs are kept: run `dvc repro` again, with LR_CEILING_SCHEDULER "
            "naming another or none"
        ) from error
