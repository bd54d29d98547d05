"""Checks reports, runs and studies: each is read, and compared with its data and models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from lr_ceiling.errors import DatasetError, LrCeilingError
from lr_ceiling.evidence.records import read_belief, read_study
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.pipeline.integrity.part import Part
from lr_ceiling.report.schemas import (
    AuditReport,
    BenchmarkReport,
    CeilingsReport,
    ClaimsReport,
    ComparisonReport,
    MetricsReport,
    Report,
    SimulationReport,
    ValidationReport,
    VerificationReport,
)

REPORTS: dict[str, type[Report]] = {
    "audit": AuditReport,
    "benchmark": BenchmarkReport,
    "ceilings": CeilingsReport,
    "claims": ClaimsReport,
    "comparison": ComparisonReport,
    "metrics": MetricsReport,
    "simulation": SimulationReport,
    "validation": ValidationReport,
    "verification": VerificationReport,
}
Found = TypeVar("Found")
REPRO = "remove it and run `dvc repro`"


def check_reports(folder: Path = Path("reports")) -> Part:
    """Check that each report exists and fits its schema."""
    part = Part("reports")
    for name, schema in REPORTS.items():
        part.seen += 1
        _read(schema.read, folder / f"{name}.json", part)
    return part


def check_runs(data: Path = Path("data")) -> Part:
    """Check that each run belongs to the present data and has its model, and read each study."""
    part = Part("runs and studies")
    digest = _splits_digest(data / "splits.npz", part)
    for folder in _folders(data / "train"):
        part.seen += 1
        _check_cell(folder, data / "models" / folder.name, digest, part)
    for folder in _folders(data / "search"):
        part.seen += 1
        _read(read_study, folder / "study.json", part)
        _read(read_belief, folder / "posterior.json", part)
        _read(read_runs, folder / "runs.json", part)
    return part


def _check_cell(folder: Path, models: Path, digest: str | None, part: Part) -> None:
    runs = _read(read_runs, folder / "runs.json", part) or ()
    if digest and any(run.spec.data_digest != digest for run in runs):
        part.blame(f"{folder} was trained on other data than data/splits.npz", "run `dvc repro`")
    for run in runs:
        model = models / f"seed-{run.spec.seed}.keras"
        if not model.is_file():
            part.blame(f"{model} is missing", f"`dvc repro train@{folder.name}` makes it")


def _splits_digest(path: Path, part: Part) -> str | None:
    # A missing file is reported among the outputs.
    if not path.exists():
        return None
    try:
        return splits_digest(path)
    except DatasetError as error:
        part.blame_for(error, REPRO)
        return None


def _read(read: Callable[[Path], Found], path: Path, part: Part) -> Found | None:
    try:
        return read(path)
    except LrCeilingError as error:
        part.blame_for(error, REPRO)
        return None


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*")) if path.is_dir())
