"""The figure of a ceiling. This module imports matplotlib, so it is imported only for drawing."""

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from lr_ceiling.search.estimates import TARGETS, Estimate, Estimates
from lr_ceiling.search.posterior import Observation

CURVE, STABLE, FAILED, USABLE = "#33528c", "#33528c", "#b3423a", "#00734f"
# Height of the usable rate's mark: below the mark of lr90, above the failed trials.
USABLE_HEIGHT = 0.75
# Number of points of the curve.
POINTS = 201
# Space below P = 0 for the failed trials and the legend.
LEGEND = 0.4
# The curve is drawn this far beyond the trials and the answer, in decades.
MARGIN = 0.5
# Extra width in decades, so that markers at the ends of the range are not cut off.
PADDING = 0.05


def draw(
    estimates: Estimates,
    usable: Estimate,
    observations: Sequence[Observation],
    ax: Axes | None = None,
) -> Axes:
    """Draw P(stable) with its 95% band over the learning rate, the trials, lr90 and usable."""
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    low, high = _span(estimates, usable, observations)
    us = np.linspace(low, high, POINTS)
    mean, below, above = estimates.posterior.band(us)
    ax.fill_between(10**us, below, above, color=CURVE, alpha=0.15, linewidth=0, label="95% band")
    ax.plot(10**us, mean, color=CURVE, label="P(a fresh seed is stable)")
    for stable, height, colour, mark in ((True, 1.04, STABLE, "o"), (False, -0.04, FAILED, "x")):
        rates = [10**one.u for one in observations if one.stable is stable]
        label = f"{len(rates)} {'stable' if stable else 'failed'}"
        # Repeated trials appear darker.
        ax.plot(rates, [height] * len(rates), mark, color=colour, alpha=0.6, label=label)
    trains = estimates.estimate(TARGETS["lr90"])
    _mark(ax, trains, usable)
    ax.set_xscale("log")
    ax.set_xlim(10 ** (low - PADDING), 10 ** (high + PADDING))
    # Over about one decade the minor labels would overlap.
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(-LEGEND, 1.1)
    ax.set_yticks(np.linspace(0, 1, 6))
    ax.set_xlabel("learning rate")
    ax.set_ylabel("P(stable)")
    # Below the trials. Further up it would cover the curve, and a grid of axes has no room outside.
    ax.legend(loc="lower center", ncols=2, fontsize="small", frameon=False)
    return ax


def _mark(ax: Axes, trains: Estimate, usable: Estimate) -> None:
    told = [
        f"{name} up to {words}"
        for name, found in (("trains", trains), ("no accuracy lost", usable))
        if (words := found.in_words(digits=3))
    ]
    ax.set_title("\n".join(told) or "the trials bound no learning rate", fontsize="medium")
    _mark_one(ax, trains, TARGETS["lr90"], "black")
    _mark_one(ax, usable, USABLE_HEIGHT, USABLE)


def _mark_one(ax: Axes, found: Estimate, height: float, colour: str) -> None:
    low, high = found.ci95
    if low is not None and high is not None:
        ax.plot([low, high], [height] * 2, color=colour, linewidth=2, solid_capstyle="butt")
    elif low is not None:
        ax.plot([low], [height], ">", color=colour)
    elif high is not None:
        ax.plot([high], [height], "<", color=colour)
    if found.estimate is not None:
        ax.plot([found.estimate], [height], "|", color=colour, markersize=14, markeredgewidth=2)
        ax.plot([found.estimate] * 2, [0, 1], color=colour, linewidth=0.7, linestyle=":")


def _span(
    estimates: Estimates, usable: Estimate, observations: Sequence[Observation]
) -> tuple[float, float]:
    bounds = estimates.posterior.curves.bounds
    if not observations:
        return bounds.lowest, bounds.highest
    ends = (*estimates.estimate(TARGETS["lr90"]).ci95, *usable.ci95)
    answer = [math.log10(end) for end in ends if end]
    us = [one.u for one in observations] + answer
    return max(min(us) - MARGIN, bounds.lowest), min(max(us) + MARGIN, bounds.highest)
