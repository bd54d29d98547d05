"""reports/reliability.json: what was tried, and what held."""

from typing import ClassVar

from lr_ceiling.execution.record import Record
from lr_ceiling.report.schemas import Report


class FaultCount(Record):
    """How often a fault was tried at a point, and how often all that must hold did."""

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
