"""What a retraining came to, for machines and in words, and which ceilings it moved."""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from lr_ceiling.evidence.records import Study
from lr_ceiling.execution.record import Record
from lr_ceiling.live.gate import Decision
from lr_ceiling.rounding import short

Failure = Literal["data unavailable", "validation failed", "pipeline failed", "promotion failed"]
# Its lr90: estimate, low, high; None where it is not known.
Limits: TypeAlias = tuple[float | None, float | None, float | None]


class Ceiling(Record):
    """An arm's lr90 before and after.

    It moved if the two intervals have nothing in common, or no end of it is known any more; None
    where none was before.
    """

    arm: str
    before: Limits
    after: Limits
    moved: bool | None


class Outcome(Record):
    """What a retraining came to; `reason` says it in words."""

    outcome: Literal[Failure, "promoted", "refused", "unchanged"]
    reason: str
    week: str
    quick: bool
    train_seeds: tuple[int, ...]
    search_seed: int
    ceiling_moved: bool
    ceilings: tuple[Ceiling, ...]
    decision: Decision | None
    commit: str | None
    # UTC, ISO 8601.
    started: str
    ended: str

    @property
    def failed(self) -> bool:
        """Whether it ended before the gate had decided."""
        return self.decision is None


def compare_ceilings(before: Sequence[Study], after: Sequence[Study]) -> list[Ceiling]:
    """Each arm of `after` beside the same arm of `before`, as reports/ceilings.json has them."""
    known = {_name(arm): _limits(arm) for arm in before}
    ceilings = []
    for arm in after:
        old, new = known.get(_name(arm), (None, None, None)), _limits(arm)
        ceilings.append(Ceiling(arm=_name(arm), before=old, after=new, moved=_moved(old, new)))
    return ceilings


def summary(outcome: Outcome) -> str:
    """The outcome in Markdown."""
    moved = [ceiling.arm for ceiling in outcome.ceilings if ceiling.moved]
    lines = [
        f"# Retraining of week {outcome.week}: {outcome.outcome}",
        "",
        f"{outcome.reason}.",
        "",
        f"Seeds a cell: {len(outcome.train_seeds)}, {outcome.train_seeds[0]} the first; "
        f"{'quick, its results are not kept' if outcome.quick else 'full'}; "
        f"{outcome.started} to {outcome.ended}.",
    ]
    if outcome.ceilings:
        lines += [
            "",
            "**Ceilings that moved beyond both intervals, or are not known any more:** "
            f"{', '.join(moved) or 'none'}.",
            "",
            "| arm | lr90 before | lr90 now | moved |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {one.arm} | {_shown(one.before)} | {_shown(one.after)} "
            f"| {'not known' if one.moved is None else 'yes' if one.moved else 'no'} |"
            for one in outcome.ceilings
        ]
    if outcome.decision:
        lines += ["", "| check | passed | seen |", "|---|---|---|"]
        lines += [
            f"| {check.name} | {'yes' if check.passed else 'no'} | {check.detail} |"
            for check in outcome.decision.checks
        ]
        live = outcome.decision.live
        lines += ["", f"Live: {'no version' if live is None else f'version {live}'}."]
    return "\n".join(lines) + "\n"


def _name(arm: Study) -> str:
    return f"{arm.variant}-{arm.activation}"


def _limits(arm: Study) -> Limits:
    return arm.lr90.estimate, *arm.lr90.ci95


def _moved(
    before: Limits,
    after: Limits,
) -> bool | None:
    if before[1:] == (None, None):
        return None
    if after[1:] == (None, None):
        return True
    # An end that is null is unbounded.
    (old_low, old_high), (new_low, new_high) = (
        (0.0 if low is None else low, float("inf") if high is None else high)
        for _, low, high in (before, after)
    )
    return old_high < new_low or new_high < old_low


def _shown(limits: Limits) -> str:
    match limits:
        case None, None, None:
            return "not known"
        case None, float(low), None:
            return f"at least {short(low, 4)}"
        case None, None, float(high):
            return f"at most {short(high, 4)}"
    estimate, *ends = limits
    interval = " to ".join("unbounded" if end is None else short(end, 4) for end in ends)
    return interval if estimate is None else f"{short(estimate, 4)} ({interval})"
