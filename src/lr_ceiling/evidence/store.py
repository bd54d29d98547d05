"""Runs, stored by their identity: specification, engine, libraries, kind of processor.

A stage or command may find a run here that another one made. No output depends on that.
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
    # SHA-256 of the trained network's file beside it; None if none was stored.
    model_sha256: str | None


class RunStore:
    """A folder of runs. Damaged files, and files that don't fit their names, are ignored."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / run_digest()
        remove_abandoned(self._folder)

    def model_path(self, spec: RunSpec) -> Path:
        """The path of a run's trained network."""
        return self._folder / f"{spec.key}.keras"

    def keep(self, run: RunResult, model: bool = False) -> None:
        """Store a run; with `model`, also the trained network at `model_path`."""
        sha256 = sha256_of(self.model_path(run.spec)) if model else None
        # A stored run with a test accuracy has at least as much, and may have its network.
        if not model and self.find(run.spec, test=True):
            return
        kept = _Kept(result=run, model_sha256=sha256)
        write_text(self._path(run.spec), kept.model_dump_json() + "\n")

    def find(self, spec: RunSpec, test: bool = False, model: bool = False) -> RunResult | None:
        """The run of `spec`, with a test accuracy and a network if requested; None without one."""
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
