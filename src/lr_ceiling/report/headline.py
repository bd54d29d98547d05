"""The first screen of the page: what was found, and what to make of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lr_ceiling.evidence.records import VARIANTS, ArmCeilings, Claim, Ratio, network
from lr_ceiling.report.words import (
    in_short,
    in_times,
    likely,
    no_accuracy_lost_up_to,
    points,
    trains_up_to,
)
from lr_ceiling.rounding import short
from lr_ceiling.search.estimates import Estimate

# From here on two digits say 1.
CERTAIN = 0.995
CLAIMED = {
    "supported": "batch norm trains at higher learning rates",
    "not supported": "batch norm does not train at higher learning rates",
    "inconclusive": "the runs do not decide whether batch norm trains at higher learning rates",
}


@dataclass(frozen=True)
class Line:
    """A line of the headline; `verdict` is that of its claim, None where it claims nothing.

    `notes` are sentences that say how sure it is.
    """

    verdict: str | None
    text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Takeaway:
    """What to make of the results: a lead in a few words, then a sentence or two."""

    lead: str
    text: str


def headline(
    arms: Sequence[ArmCeilings], ratios: Sequence[Ratio], claims: Iterable[Claim]
) -> list[Line]:
    """A line an activation, with the verdict on "higher learning rates"; without ratios an arm."""
    if not ratios:
        return [
            Line(
                None,
                f"{network(arm)}: trains up to {trains_up_to(arm)}; "
                f"no accuracy lost up to {no_accuracy_lost_up_to(arm)}.",
            )
            for arm in arms
        ]
    by_id = {claim.id: claim for claim in claims}
    by_name = {(arm.variant, arm.activation): arm for arm in arms}
    lines = []
    for ratio in ratios:
        claim = by_id[f"higher-learning-rate-{ratio.activation}"]
        networks = [by_name[variant, ratio.activation] for variant in VARIANTS]
        parts = [_trains(ratio, *networks), *_lossless(ratio)]
        text = f"With {ratio.activation}, {CLAIMED[claim.verdict]}: {'; '.join(parts)}."
        lines.append(Line(claim.verdict, text, (*_if_any(ratio), *_together(claim))))
    return lines


def _trains(ratio: Ratio, baseline: ArmCeilings, batchnorm: ArmCeilings) -> str:
    if ratio.lr90.estimate is not None:
        return f"up to {_of_baseline(ratio.lr90)}"
    # A ratio that is bounded on one side only grows with the budget: both ceilings are told.
    found = trains_up_to(batchnorm)
    told = found if _is_clause(found) else f"it trains up to {found}"
    below = trains_up_to(baseline)
    joint = ":" if _is_clause(below) else " trains up to"
    return f"{told}; the baseline{joint} {below}"


def _is_clause(found: str) -> bool:
    """Whether a ceiling in words says by itself that there is none: `no ceiling found up to 2`."""
    return found.startswith("no ")


def _lossless(ratio: Ratio) -> list[str]:
    if ratio.usable is None or ratio.usable.ci95 == (None, None):
        return []
    return [f"no accuracy lost up to {_of_baseline(ratio.usable)}"]


def _of_baseline(times: Estimate) -> str:
    """A ratio in words that say of what it is a multiple."""
    return in_times(times).replace(" times", " times the baseline's", 1)


def _if_any(ratio: Ratio) -> list[str]:
    """How probable it is that there are both ceilings, as far as that is in doubt."""
    if ratio.exists is None or ratio.exists >= CERTAIN:
        return []
    return [f"That both train nine times in ten at some learning rate is {likely(ratio.exists)}."]


def _together(claim: Claim) -> list[str]:
    if claim.holds_together is not False:
        return []
    return ["Tested together with all claims of this page, it would be inconclusive."]


def takeaways(arms: Sequence[ArmCeilings]) -> list[Takeaway]:
    """What to set, what lies beyond, and what holds of saved models, as far as runs tell."""
    return [_what_to_set(arms), _what_lies_beyond(arms), *_as_saved(arms)]


def _what_to_set(arms: Sequence[ArmCeilings]) -> Takeaway:
    lead = "What to set"
    safe = [
        f"{short(low)} ({network(arm)})"
        for arm in arms
        if (low := arm.headline.usable.ci95[0]) is not None
    ]
    if not safe:
        return Takeaway(lead, "Up to where no accuracy is lost, so few runs do not tell.")
    return Takeaway(
        lead,
        f"At most {_listed(safe)}: the lower limits of no accuracy lost up to. There a typical "
        f"network ends within {_loss(arms)} of its best accuracy.",
    )


def _what_lies_beyond(arms: Sequence[ArmCeilings]) -> Takeaway:
    lead = "A network that trains may still lose accuracy"
    gaps = [
        (trains / lossless, arm, trains, lossless)
        for arm in arms
        if (trains := arm.headline.lr90.estimate) and (lossless := arm.headline.usable.estimate)
    ]
    if not gaps:
        return Takeaway(lead, "How far apart the two limits lie, the runs do not tell.")
    _, widest, trains, lossless = max(gaps, key=lambda gap: gap[0])
    return Takeaway(
        lead,
        f"Between its two marks it learns, but ends more than {_loss(arms)} below its best. That "
        f"range is widest for {network(widest)}: from {short(lossless)} to {short(trains)}.",
    )


def _as_saved(arms: Sequence[ArmCeilings]) -> list[Takeaway]:
    saved = [f"{in_short(arm.as_saved.usable)} ({network(arm)})" for arm in arms if arm.as_saved]
    if not saved:
        return []
    return [
        Takeaway(
            "Batch norm's saved averages lag",
            "Both limits hold for the weights. Saved with the moving averages that training left, "
            f"models lose no accuracy up to {_listed(saved)}. Above that, take the averages anew "
            "from training images before you use the model.",
        )
    ]


def _loss(arms: Sequence[ArmCeilings]) -> str:
    told = (points(arm.usable.loss) for arm in arms if arm.usable.loss is not None)
    return next(told, "the loss allowed")


def _listed(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
