"""Runs that are kept by what makes them: specification, engine, libraries, kind of processor.

Any stage or command may find a run here that another one has made, and no output depends on that.
"""

from pathlib import Path

import pydantic

from lr_ceiling.execution.files import remove_abandoned, sha256_of, write_text
from lr_ceiling.execution.record import Record
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.version import run_digest


class _Kept(Record):
    result: RunResult
    # Of the trained network's file beside it; None where none was kept.
    model_sha256: str | None


class RunStore:
    """A folder of runs. What is damaged there, or is not what its name says, is not found."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / run_digest()
        remove_abandoned(self._folder)

    def model_path(self, spec: RunSpec) -> Path:
        """Where the trained network of a run is kept."""
        return self._folder / f"{spec.key}.keras"

    def keep(self, run: RunResult, model: bool = False) -> None:
        """Keep a run; with `model`, with the network that its training left at `model_path`."""
        sha256 = sha256_of(self.model_path(run.spec)) if model else None
        # One with a test accuracy says as much or more, and may have its network.
        if not model and self.find(run.spec, test=True):
            return
        kept = _Kept(result=run, model_sha256=sha256)
        write_text(self._path(run.spec), kept.model_dump_json() + "\n")

    def find(self, spec: RunSpec, test: bool = False, model: bool = False) -> RunResult | None:
        """The run of `spec`; with a test accuracy, and its network, if asked. None for none."""
        try:
            kept = _Kept.model_validate_json(self._path(spec).read_bytes())
        except (OSError, pydantic.ValidationError):
            return None
        if kept.result.spec != spec or (test and kept.result.test_accuracy is None):
            return None
        path = self.model_path(spec)
        if model and not (path.exists() and kept.model_sha256 == sha256_of(path)):
            return None
        return kept.result

    def _path(self, spec: RunSpec) -> Path:
        return self._folder / f"{spec.key}.json"
