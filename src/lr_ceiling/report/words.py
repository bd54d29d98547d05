"""Results in words."""

from lr_ceiling.evidence.records import ArmCeilings, Claim, Pooled, Ratio, Study
from lr_ceiling.rounding import short
from lr_ceiling.search.estimates import LIKELY, Estimate


def trains_up_to(arm: ArmCeilings) -> str:
    """Up to which learning rate an arm trains, by all its runs, in a few words."""
    found, exists = headline(arm).lr90, headline(arm).exists
    if exists < LIKELY:
        return f"no rate trains nine times in ten (P = {1 - exists:.2f})"
    low, high = found.ci95
    if found.estimate is None and low is not None and high is None:
        stable = arm.labels.get("stable", 0)
        return f"no ceiling found up to {short(low, 2)}, {stable} of {arm.trials} stable"
    return in_short(found)


def no_accuracy_lost_up_to(arm: ArmCeilings) -> str:
    """Up to which learning rate an arm loses no accuracy, by all its runs, in a few words."""
    found = headline(arm).usable
    return in_short(Estimate(estimate=found.estimate, ci95=found.ci95))


def headline(arm: ArmCeilings) -> Pooled:
    """The ceilings by all runs of an arm; those of its search where nothing was pooled."""
    if arm.pooled is not None:
        return arm.pooled
    return Pooled(
        lr50=arm.lr50,
        lr90=arm.lr90,
        exists=arm.checks.lr90_exists,
        usable=arm.usable,
        runs={"search": arm.trials},
        without={},
        left_out=(),
    )


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


def in_times(ratio: Estimate) -> str:
    """A ratio with its 95% interval in words."""
    return ratio.in_words(" times") or "a number of times that the trials don't bound"


def lr90_times(ratio: Ratio) -> str:
    """The same of lr90, with how probable it is that there is one: both ceilings must exist."""
    known = "" if ratio.exists is None else f", both exist: P = {ratio.exists:.2f}"
    return in_times(ratio.lr90) + known


def over(times: Estimate) -> str:
    """How many times something a measured rate is, with its 95% interval, in a few words."""
    return times.in_words(" times") or "-"


def in_short(rate: Estimate) -> str:
    """A learning rate with its 95% interval in a few words."""
    return rate.in_words() or "not bounded"


CLAIM_COLUMNS = ("claim", "estimate (95% interval)", "n", "verdict", "together")


def claim_row(claim: Claim) -> tuple[str, ...]:
    """A claim as a row under CLAIM_COLUMNS."""
    return claim.id, figures_of(claim), str(claim.n), claim.verdict, holds_together(claim)


def holds_together(claim: Claim) -> str:
    """Whether its verdict holds with all claims tested together, `-` where that isn't asked."""
    return {True: "holds", False: "does not hold", None: "-"}[claim.holds_together]


def figures_of(claim: Claim) -> str:
    """A claim's estimate with its 95% interval in words, as far as its runs bound them."""
    found = Estimate(estimate=claim.estimate, ci95=claim.ci95)
    if words := found.in_words(digits=3):
        return words
    return "not bounded" if claim.estimate is None else f"{short(claim.estimate, 3)} (no interval)"
