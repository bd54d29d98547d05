"""The report page: one file that needs no other, its figures inline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from lr_ceiling.evidence import verification
from lr_ceiling.evidence.records import (
    ArmCeilings,
    CellSummary,
    Claim,
    Ratio,
    Spread,
    Study,
    VerifiedArm,
    network,
)
from lr_ceiling.problems.judge import Label
from lr_ceiling.report.figures import PALETTE
from lr_ceiling.report.headline import headline, takeaways
from lr_ceiling.report.origin import Executed, Origin
from lr_ceiling.report.schemas import ClaimsReport, ValidationReport
from lr_ceiling.report.side_by_side import (
    activations_of,
    claim_figures,
    claim_rows,
    difference,
    twins,
)
from lr_ceiling.report.words import (
    bounded,
    confirmed,
    early_calls,
    holds_together,
    in_short,
    in_times,
    in_words,
    keeps_up,
    likely,
    no_accuracy_lost_up_to,
    over,
    plain,
    points,
    pooled_runs,
    spent,
    trains_up_to,
)
from lr_ceiling.search.estimates import POOR_FIT

# Below, a p-value is told as below.
SMALLEST_P = 0.001
# What each part of reports/claims.json tests.
TESTED = {
    "claims": "twelve seeds a cell",
    "cells": "more activations",
    "initialisation": "easier initialisation",
}


@dataclass(frozen=True)
class Content:
    """What the page tells, under the names that its template has.

    `gaps` is how far batch norm's two modes lie apart in each cell that has it, by the cell's
    title; `drawn` names the figures; `verified` holds the arms whose ceilings fresh seeds were held
    against, `tested` what more runs say of the claims.
    """

    cells: Sequence[CellSummary]
    arms: Sequence[ArmCeilings]
    ratios: Sequence[Ratio]
    claims: Sequence[Claim]
    gaps: Mapping[str, Spread]
    drawn: Sequence[str]
    made: Origin
    validation: ValidationReport
    verified: Sequence[VerifiedArm]
    tested: ClaimsReport


def render(figures: Path, content: Content, executed: Executed | None = None) -> str:
    """The page as HTML; `figures` is the folder of its SVG files.

    With `executed` it says what is true of these executions alone.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lr_ceiling.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "bounded": bounded,
        "claim_figures": claim_figures,
        "commas": "{:,}".format,
        "counts": counts,
        "difference": difference,
        "figure": lambda name, text: inline(figures / f"{name}.svg", text),
        "in_short": in_short,
        "holds_together": holds_together,
        "in_times": in_times,
        "confirmed": confirmed,
        "keeps_up": keeps_up,
        "no_accuracy_lost_up_to": no_accuracy_lost_up_to,
        "points": points,
        "early_calls": early_calls,
        "pooled_runs": pooled_runs,
        "spent": spent,
        "trains_up_to": trains_up_to,
        "in_words": in_words,
        "likely": likely,
        "network": network,
        "number": number,
        "over": over,
        "p_value": p_value,
        "percent": percent,
        "median_steps": median_steps,
        "point_rows": verification.point_rows,
        "finder_rows": verification.finder_rows,
    }
    return environment.get_template("report.html").render(
        **vars(content),
        palette=PALETTE,
        poor_fit=POOR_FIT,
        point_columns=verification.POINT_COLUMNS,
        finder_columns=verification.FINDER_COLUMNS,
        headline=headline(content.arms, content.ratios, content.claims),
        takeaways=takeaways(content.arms),
        twins=twins(content.cells, content.claims),
        claim_rows=(rows := claim_rows(content.claims)),
        claim_columns=activations_of(rows),
        held=verification.summary(content.verified) if content.verified else "",
        unverified=unverified(content.arms, content.verified),
        untested=untested(content.tested),
        executed=executed,
    )


def unverified(studies: Sequence[Study], verified: Sequence[VerifiedArm]) -> list[str]:
    """The arms whose ceilings were not held against fresh seeds."""
    sure = {(arm.variant, arm.activation) for arm in verified}
    return [network(study) for study in studies if (study.variant, study.activation) not in sure]


def untested(tested: ClaimsReport) -> list[str]:
    """What of reports/claims.json has not been run, in words."""
    return [words for part, words in TESTED.items() if not getattr(tested, part)]


def inline(path: Path, text: str) -> Markup:
    """A figure to put into a page, which says `text` to those who can't see it.

    Its colours become the page's variables of PALETTE's names; its ids get its name, since
    several figures share the page.
    """
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :]
    for unneeded in (r"<metadata>.*?</metadata>", r"<style.*?</style>", r"<!--.*?-->"):
        svg = re.sub(unneeded, "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{path.stem}-", svg)
    for name, colour in PALETTE.items():
        svg = svg.replace(colour, f"var(--{name})")
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(text)}"', 1))


def percent(accuracy: Spread) -> str:
    """A mean accuracy with its sample standard deviation, in percent."""
    if accuracy.mean is None:
        return "-"
    return f"{100 * accuracy.mean:.2f}" + (
        "" if accuracy.std is None else f" ± {100 * accuracy.std:.2f}"
    )


def median_steps(steps: Sequence[int | None]) -> str:
    """The median in words. None is a run that never got there, and counts as the latest.

    Of an even number of runs, the later of the two in the middle counts.
    """
    reached = sorted(step for step in steps if step is not None)
    middle = len(steps) // 2
    return f"{reached[middle]:,}" if middle < len(reached) else "never"


def counts(labels: Mapping[Label, int]) -> str:
    """How many runs have each label."""
    return ", ".join(f"{count} {label}" for label, count in labels.items())


def number(value: float | None) -> str:
    """A figure to three digits, `?` where there is none."""
    return "?" if value is None else plain(value)


def p_value(value: float) -> str:
    """A p-value to two digits, as far down as one asks."""
    return "< 0.001" if value < SMALLEST_P else plain(value, 2)
