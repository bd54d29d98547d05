"""What reports hold: the studies, audits and ratios that others read."""

from pathlib import Path
from typing import Literal

import pydantic

from lr_ceiling.execution.records import Record, _parse
from lr_ceiling.mnist.specification import Activation, Optimizer, Variant
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.ceiling import Belief, Checks, Estimate


class EarlyDecisions(Record):
    """Trials that were ended early; calls that were not followed, and how many of these erred."""

    made: int
    audited: int
    wrong: int


class Study(Record):
    """What the search of an arm found."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    target: float
    horizon_steps: int
    # Identity of the study: what its trials follow from.
    key: str
    # The highest learning rates at which a fresh seed is stable with probability 0.5 and 0.9.
    lr50: Estimate
    lr90: Estimate
    transition_decades: float
    bounded: Literal["both", "above only", "below only", "none"]
    # The highest learning rate of a stable trial; None where no trial was stable.
    highest_stable: float | None
    stopped: Literal["interval", "budget"]
    trials: int
    labels: dict[Label, int]
    steps_spent: int
    full_run_equivalents: float
    early_decisions: EarlyDecisions
    checks: Checks


class Ratio(Record):
    """Batch norm's ceilings over the baseline's, of one activation."""

    activation: Activation
    lr50: Estimate
    lr90: Estimate


class AuditedRule(Record):
    """Runs that one rule of the judge would have ended, and that ran on instead."""

    rule: Label
    audited: int
    # Of these, how many became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float
    # How many in each arm.
    arms: dict[str, int]


class Audit(Record):
    """`reports/audit.json`: whether the judge's early calls are right."""

    horizon_steps: int
    rules: tuple[AuditedRule, ...]


STUDY = pydantic.TypeAdapter(Study)

AUDIT = pydantic.TypeAdapter(Audit)

BELIEF = pydantic.TypeAdapter(Belief)


def read_study(path: Path) -> Study:
    """Read a study.json. Raises ResultsError for a missing or foreign file."""
    return _parse(STUDY, path)


def read_belief(path: Path) -> Belief:
    """Read a posterior.json. Raises ResultsError for a missing or foreign file."""
    return _parse(BELIEF, path)


def read_audit(path: Path) -> Audit:
    """Read reports/audit.json. Raises ResultsError for a missing or foreign file."""
    return _parse(AUDIT, path)


Arm = tuple[Variant, Activation]
