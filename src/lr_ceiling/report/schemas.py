"""The committed reports, reports/*.json: everything of ours reads and writes them through these.

A report's file says its format; those of format 1 say none. Older ones are read with what they lack
left out, as long as all that has no default is there. All are written in the newest format.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import pydantic
from pydantic import ConfigDict

from lr_ceiling.errors import ResultsError
from lr_ceiling.evidence.records import (
    ArmCeilings,
    AuditedRule,
    CellSummary,
    Claim,
    Initialisation,
    Ratio,
    RunTable,
    VerifiedArm,
    Viability,
)
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.execution.record import Record
from lr_ceiling.simulation.scores import OracleResult


class Report(Record):
    """A committed report. `format` is that of the file it was read from, else the newest."""

    FORMAT: ClassVar[int] = 2
    # The command that makes the file.
    MADE_BY: ClassVar[str] = "dvc repro"

    format: int = 2

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a report. Raises ResultsError for a missing, damaged or foreign file."""
        if not path.exists():
            raise ResultsError(f"{path} is missing: run `{cls.MADE_BY}` to make it")
        content = read_json(path)
        if not isinstance(content, dict):
            raise ResultsError(f"{path} holds no report: remove it and run `{cls.MADE_BY}`")
        found = content.get("format", 1)
        if found not in range(1, cls.FORMAT + 1):
            raise ResultsError(
                f"{path} has format {found!r}, not {cls.FORMAT} or less: "
                f"update the project, or remove the file and run `{cls.MADE_BY}`"
            )
        try:
            return cls.model_validate({"format": 1, **content})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ResultsError(
                f"{path} is not of this version ({where}: {first['msg']}): "
                f"remove it and run `{cls.MADE_BY}`"
            ) from None

    def write(self, path: Path) -> None:
        """Write the report, whole or not at all."""
        write_json(path, self.content())

    def content(self) -> dict[str, Any]:
        """What is written, `format` first; format 1 says none."""
        content = self.model_dump(exclude={"format"})
        return content if self.FORMAT == 1 else {"format": self.FORMAT, **content}


class ResumedReport(Report):
    """A report that is written as the work goes on, and from which it goes on."""

    # The field that says what it is of: one of something else is no part of it.
    OF: ClassVar[str] = "conditions"

    def resumed(self, path: Path) -> Self:
        """The report in `path` if it is of the same as this one, a new one; else this one."""
        if not path.exists():
            return self
        there = type(self).read(path)
        return there if getattr(there, self.OF) == getattr(self, self.OF) else self


class AuditReport(ResumedReport):
    """audit.json: whether the judge's early calls are right.

    `conditions` is what its runs share (evidence.comparison); `runs` holds those that are known one
    by one: none of an audit in format 1.
    """

    FORMAT: ClassVar[int] = 3
    MADE_BY: ClassVar[str] = "make audit"

    format: int = 3
    conditions: str | None = None
    horizon_steps: int
    rules: tuple[AuditedRule, ...]
    runs: tuple[RunTable, ...] = ()


class VerificationReport(ResumedReport):
    """verification.json: the ceilings by fresh seeds, and range tests beside them.

    `conditions` is what its runs share (evidence.comparison); `runs` holds those that are known one
    by one: none of the points that were made in format 1.
    """

    FORMAT: ClassVar[int] = 3
    MADE_BY: ClassVar[str] = "make verify"

    format: int = 3
    conditions: str | None = None
    arms: tuple[VerifiedArm, ...]
    runs: tuple[RunTable, ...] = ()

    def under(self, conditions: str) -> Self:
        """This report if it is of these conditions, else one that knows nothing."""
        if self.conditions == conditions:
            return self
        return type(self)(conditions=conditions, arms=())


class ClaimsReport(ResumedReport):
    """claims.json: claims that need more runs than the pipeline makes.

    `subject` is what they are about (evidence.claims); `runs` holds those that are known one by
    one: none of the claims that were made in format 1.
    """

    FORMAT: ClassVar[int] = 3
    MADE_BY: ClassVar[str] = "make claims"
    OF: ClassVar[str] = "subject"

    format: int = 3
    subject: str | None = None
    claims: tuple[Claim, ...] = ()
    # The cells of the grid with all seeds that the claims rest on.
    grid: tuple[CellSummary, ...] = ()
    cells: tuple[Viability, ...] = ()
    initialisation: tuple[Initialisation, ...] = ()
    runs: tuple[RunTable, ...] = ()

    def about(self, subject: str) -> Self:
        """This report if it is of this subject, else one that knows nothing."""
        return self if self.subject == subject else type(self)(subject=subject)


class SimulationReport(Report):
    """simulation.json: studies of made-up networks whose ceilings are known."""

    FORMAT: ClassVar[int] = 3
    MADE_BY: ClassVar[str] = "make simulate"

    format: int = 3
    oracles: tuple[OracleResult, ...]

    @classmethod
    def known(cls, path: Path) -> tuple[OracleResult, ...]:
        """The oracles in `path`: none where it is missing, or older, as other things were asked."""
        if not path.exists():
            return ()
        content = read_json(path)
        older = isinstance(content, dict) and content.get("format", 1) in range(1, cls.FORMAT)
        return () if older else cls.read(path).oracles


class CeilingsReport(Report):
    """ceilings.json: what the searches found, and how many times one ceiling is another."""

    FORMAT: ClassVar[int] = 3

    format: int = 3
    arms: tuple[ArmCeilings, ...]
    ratios: tuple[Ratio, ...]


class ComparisonReport(Report):
    """comparison.json: the cells of the grid, and every claim that runs have tested.

    A cell that `make claims` trained with more seeds is told with those, as the claims are.
    """

    FORMAT: ClassVar[int] = 3

    format: int = 3
    cells: tuple[CellSummary, ...]
    claims: tuple[Claim, ...]


class CellMetrics(Record):
    """A cell's figures: means over its runs."""

    validation_accuracy: float | None
    test_accuracy: float | None
    stable_runs: int


class RatioMetrics(Record):
    """How many times the baseline's batch norm's ceilings are; P(both have an lr90)."""

    lr90: float | None
    lr90_low: float | None
    lr90_high: float | None
    usable: float | None = None
    usable_low: float | None = None
    usable_high: float | None = None
    exists: float | None = None


class ArmMetrics(Record):
    """An arm's figures."""

    lr50: float | None
    lr90: float | None
    lr90_low: float | None
    lr90_high: float | None
    # By all runs of the arm that the same engine made.
    usable: float | None = None
    usable_low: float | None = None
    usable_high: float | None = None
    full_run_equivalents: float


class MetricsReport(Report):
    """metrics.json: what `dvc metrics show` lists, by cell, arm, activation and claim."""

    FORMAT: ClassVar[int] = 3

    format: int = 3
    cells: dict[str, CellMetrics]
    arms: dict[str, ArmMetrics]
    ratios: dict[str, RatioMetrics]
    claims: dict[str, float]


class Expectation(Record):
    """What was expected of some rows of the data, and what was seen."""

    about: str
    expectation: str
    rows: str
    expected: dict[str, Any]
    observed: dict[str, Any]
    success: bool


class ValidationReport(Report):
    """validation.json: whether the data are MNIST, as the specification says.

    It stays in format 1: another byte of it would be another result of the stage.
    """

    FORMAT: ClassVar[int] = 1

    format: int = 1
    success: bool
    evaluated: int
    failed: int
    counts: dict[str, int]
    expectations: tuple[Expectation, ...]


class BenchmarkFigure(Record):
    """A row of the benchmark: medians of ours and of what it is held against, both in `unit`.

    Some have further fields of their own.
    """

    model_config = ConfigDict(extra="allow")

    id: str
    ours: float
    peer: float | None = None
    peer_name: str
    ratio: float | None = None
    unit: str
    runs: int
    range: tuple[float, float]
    peer_range: tuple[float, float] | None = None
    of: str | None = None


class BenchmarkReport(Report):
    """benchmark.json: how fast all of it is, and where it was measured."""

    MADE_BY: ClassVar[str] = "make bench"

    machine: dict[str, str | int]
    figures: tuple[BenchmarkFigure, ...]

    def content(self) -> dict[str, Any]:
        """What is written; what a figure has not is left out."""
        content = self.model_dump(exclude={"format"}, exclude_none=True)
        return {"format": self.FORMAT, **content}
