"""The report page: one file that needs no other, its figures inline."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from lr_ceiling.evidence import verification
from lr_ceiling.evidence.claims import Claim, figures_of
from lr_ceiling.evidence.comparison import in_short, in_times, over
from lr_ceiling.evidence.records import Ratio, Study
from lr_ceiling.report.figures import PALETTE
from lr_ceiling.report.words import in_words
from lr_ceiling.rounding import short
from lr_ceiling.search.ceiling import Estimate

# What each part of reports/claims.json tests.
TESTED = {
    "claims": "twelve seeds a cell",
    "cells": "more activations",
    "initialisation": "easier initialisation",
}


def render(figures: Path, **content: object) -> str:
    """The page as HTML, of the template's `content`; `figures` is the folder of its SVG files."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lr_ceiling.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "commas": "{:,}".format,
        "counts": counts,
        "estimate": lambda found: Estimate(**found),
        "figures_of": lambda claim: figures_of(Claim.model_validate(claim)),
        "figure": lambda name, text: inline(figures / f"{name}.svg", text),
        "in_short": in_short,
        "in_times": in_times,
        "in_words": in_words,
        "number": number,
        "over": over,
        "percent": percent,
        "median_steps": median_steps,
        "point_rows": verification.point_rows,
        "finder_rows": verification.finder_rows,
        "untested": untested,
    }
    columns = {
        "point_columns": verification.POINT_COLUMNS,
        "finder_columns": verification.FINDER_COLUMNS,
    }
    return environment.get_template("report.html").render(palette=PALETTE, **columns, **content)


def answer(ratios: Sequence[Ratio], studies: Sequence[Study]) -> str:
    """What the searches found, in a sentence; without a ratio the arms' ceilings, one by one."""
    if not ratios:
        found = (f"{study.variant}, {study.activation}: {in_words(study)}" for study in studies)
        return f"{'; '.join(found)}."
    bounded = [one for one in ratios if one.lr90.ci95 != (None, None)]
    times = [f"{in_times(one.lr90)} as high with {one.activation}" for one in bounded]
    unknown = [one.activation for one in ratios if one not in bounded]
    parts = [f"With batch norm the learning rate can be {', and '.join(times)}"] if times else []
    parts += [f"how much higher with {name}, the trials don't bound" for name in unknown]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def untested(tested: Mapping[str, Any]) -> list[str]:
    """What of reports/claims.json has not been run, in words."""
    return [words for part, words in TESTED.items() if not tested[part]]


def inline(path: Path, text: str) -> Markup:
    """A figure to put into a page, which says `text` to those who can't see it.

    Its colours become the page's variables of PALETTE's names; its ids are made its own, since
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


def percent(accuracy: Mapping[str, Any]) -> str:
    """A mean accuracy with its sample standard deviation, in percent."""
    mean, std = accuracy["mean"], accuracy["std"]
    if mean is None:
        return "-"
    return f"{100 * mean:.2f}" + ("" if std is None else f" ± {100 * std:.2f}")


def median_steps(steps: Sequence[int | None]) -> str:
    """The median, as words, where some runs never got there; the later one of an even number."""
    reached = sorted(step for step in steps if step is not None)
    middle = len(steps) // 2
    return f"{reached[middle]:,}" if middle < len(reached) else "never"


def counts(labels: Mapping[str, int]) -> str:
    """How many runs have each label."""
    return ", ".join(f"{count} {label}" for label, count in labels.items())


def number(value: float | None) -> str:
    """A figure to three digits, `?` where there is none."""
    return "?" if value is None else short(value, 3)
