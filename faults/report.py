"""reports/reliability.json: the number of tries of each fault, and of those that passed."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ClassVar

from lr_ceiling.execution.record import Record
from lr_ceiling.report.schemas import Report

# Counted by `python -m faults.cluster`, which finds what goes wrong on machines, not on a disk.
CLUSTER = "search on a cluster, simulated"


class FaultCount(Record):
    """How often a fault was tried at a point, and how often all promises were kept."""

    fault: str
    point: str
    tried: int
    held: int


class ReliabilityReport(Report):
    """reliability.json."""

    FORMAT: ClassVar[int] = 1
    MADE_BY: ClassVar[str] = "make faults"

    format: int = 1
    faults: tuple[FaultCount, ...]


def put(
    output: Path, rows: Iterable[FaultCount], is_ours: Callable[[FaultCount], bool]
) -> ReliabilityReport:
    """Replace the counts for which `is_ours` is true, and keep all others."""
    before = ReliabilityReport.read(output).faults if output.exists() else ()
    others = [row for row in before if not is_ours(row)]
    faults = sorted((*others, *rows), key=lambda row: (row.point, row.fault))
    report = ReliabilityReport(faults=tuple(faults))
    report.write(output)
    return report
