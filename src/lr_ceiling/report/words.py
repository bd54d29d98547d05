"""Results in words."""

from collections.abc import Callable

import numpy as np

from lr_ceiling.evidence.records import (
    ArmCeilings,
    Claim,
    Confirmed,
    Lag,
    Pooled,
    Ratio,
    Spent,
    Study,
    Surest,
    UsableRate,
)
from lr_ceiling.rounding import short, significant
from lr_ceiling.search.estimates import LIKELY, Estimate

# The IPCC's scale of likelihood: from which probability on a word is used.
LIKELIHOOD = (
    (0.99, "almost certain"),
    (0.9, "very likely"),
    (0.66, "likely"),
    (0.33, "about as likely as not"),
    (0.1, "unlikely"),
    (0.0, "very unlikely"),
)
# What is smaller is told as smaller than it, in place of a row of zeros.
SMALLEST = 1e-6


def likely(probability: float) -> str:
    """How probable something is, as a word and in percent."""
    word = next(word for least, word in LIKELIHOOD if probability >= least)
    share = f"{probability:.0%}"
    told = {"100%": "over 99%", "0%": "under 1%"}.get(share, share)
    return f"{word} ({told})"


def decimal(value: float, digits: int = 3) -> str:
    """A number to so many digits, without an exponent: what stands beside it has none either."""
    told = short(abs(value), digits)
    if "e-" in told:
        told = np.format_float_positional(significant(abs(value), digits), trim="-")
    return f"-{told}" if value < 0 else told


def plain(value: float, digits: int = 3) -> str:
    """The same in a text, where nobody counts the zeros of a very small number."""
    if 0 < abs(value) < SMALLEST:
        return f"less than {decimal(SMALLEST)}"
    return decimal(value, digits)


def in_points(difference: float) -> str:
    """A difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.2f}"


def bounded(found: Estimate, tell: Callable[[float], str] = plain, unit: str = "") -> str:
    """An estimate with its 95% interval, each number told by `tell`; one limit where one is known.

    What has no interval says so.
    """
    low, high = (None if end is None else tell(end) for end in found.ci95)
    if found.estimate is not None and low and high:
        return f"{tell(found.estimate)}{unit} ({low} to {high})"
    if low:
        return f"at least {low}{unit}"
    if high:
        return f"at most {high}{unit}"
    return (
        "not bounded" if found.estimate is None else f"{tell(found.estimate)}{unit} (no interval)"
    )


def trains_up_to(arm: ArmCeilings) -> str:
    """Up to which learning rate an arm trains, by all its runs, in a few words."""
    found, exists = arm.headline.lr90, arm.headline.exists
    if exists < LIKELY:
        return nowhere(exists, arm.headline.surest)
    if not is_above(found):
        return in_short(found)
    stable, seeds = arm.headline.stable, arm.headline.seeds
    # A run that failed is a sign of a ceiling, though it doesn't say where.
    told = ceiling_in_short(found) if stable == seeds else in_short(found)
    return f"{told}, {stable} of {seeds} stable"


def is_above(ceiling: Estimate) -> bool:
    """Whether a ceiling lies above all that was tried, as far as runs tell."""
    low, high = ceiling.ci95
    return ceiling.estimate is None and low is not None and high is None


def ceiling_in_short(ceiling: Estimate) -> str:
    """A ceiling in a few words; up to where none was found."""
    low, _ = ceiling.ci95
    if is_above(ceiling) and low is not None:
        return f"no ceiling found up to {short(low, 2)}"
    return in_short(ceiling)


def nowhere(exists: float, surest: Surest) -> str:
    """That probably no learning rate trains nine times in ten, and which comes nearest."""
    return (
        f"no rate trains nine times in ten (P = {1 - exists:.2f}); the best is "
        f"{short(surest.learning_rate, 3)}, with probability {surest.probability.in_words()}"
    )


def no_accuracy_lost_up_to(arm: ArmCeilings) -> str:
    """Up to which learning rate an arm loses no accuracy, by all its runs, in a few words."""
    return in_short(arm.headline.usable)


def confirmed(found: Confirmed | None) -> str:
    """How many fresh seeds were stable at lr90's lower limit, in a few words."""
    if found is None:
        return "-"
    rates = [short(rate, 3) for rate in (found.lowest, found.learning_rate)]
    return f"{found.stable} of {found.seeds} at {' to '.join(dict.fromkeys(rates))}"


def spent(found: Spent) -> str:
    """The full runs of a search by what they were for."""
    total = found.edge + found.confirm + found.usable
    return (
        f"{total:.1f}: {found.edge:.1f} edge, {found.confirm:.1f} confirming, "
        f"{found.usable:.1f} usable"
    )


def early_calls(study: Study) -> str:
    """How many early calls were followed, let run on, and wrong: of failure, and of success."""
    kinds = (study.early_decisions, study.early_successes)
    return "; ".join(f"{one.made}, {one.audited}, {one.wrong}" for one in kinds)


def pooled_runs(found: Pooled) -> str:
    """Where the runs come from, and what was left out."""
    counts = [f"{count} {source}" for source, count in found.runs.items()]
    return "; ".join([", ".join(counts), *(f"left out: {what}" for what in found.left_out)])


def keeps_up(lag: Lag) -> str:
    """How many of the runs with sound weights reach their target as saved."""
    low, high = lag.keeps_up.ci95
    share = lag.keeps_up.estimate
    if share is None or low is None or high is None:
        return "-"
    return f"{share:.0%} ({low:.0%} to {high:.0%}) of {lag.n}"


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
        return nowhere(study.checks.lr90_exists, study.surest)
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


def points(loss: float) -> str:
    """A loss of accuracy in points."""
    return "one point" if loss == 0.01 else f"{100 * loss:g} points"


def lr90_times(ratio: Ratio) -> str:
    """The same of lr90, with how probable it is that there is one: both ceilings must exist."""
    known = "" if ratio.exists is None else f", both exist: P = {ratio.exists:.2f}"
    return in_times(ratio.lr90) + known


def over(times: Estimate) -> str:
    """How many times something a measured rate is, with its 95% interval, in a few words."""
    return times.in_words(" times") or "-"


def in_short(rate: Estimate | UsableRate) -> str:
    """A learning rate with its 95% interval in a few words."""
    return Estimate(estimate=rate.estimate, ci95=rate.ci95).in_words() or "not bounded"


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
