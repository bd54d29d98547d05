"""Results in words."""

from lr_ceiling.evidence.records import Study
from lr_ceiling.rounding import short
from lr_ceiling.search.ceiling import LIKELY, Estimate


def in_words(study: Study) -> str:
    """The ceiling in a line."""
    found = study.lr90
    low, high = found.ci95
    if found.estimate is not None:
        ends = ("?" if end is None else short(end, 4) for end in found.ci95)
        return f"lr90 {short(found.estimate, 4)} (95% interval {' to '.join(ends)})"
    if study.highest_stable is None and study.checks.lr50_exists < LIKELY:
        return "no trainable learning rate"
    if study.checks.lr90_exists < LIKELY:
        return "no learning rate is stable with probability 0.9"
    if low is not None:
        return f"lr90 is at least {short(low, 4)}: the trials don't bound it from above"
    if high is not None:
        return f"lr90 is at most {short(high, 4)}: the trials don't bound it from below"
    return "lr90 is not bounded by so few trials"


def interval(found: Estimate) -> str:
    """An estimate with its 95% interval in words; `?` where the trials don't bound it."""
    low, value, high = (
        "?" if rate is None else short(rate, 3)
        for rate in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return f"{value} ({low} to {high})"
