"""The figures; the one home of matplotlib. The same data give the same bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lr_ceiling.comparison import mean_by_step, validation_curve
from lr_ceiling.runs import (
    Belief,
    Estimate,
    Label,
    RunResult,
    Study,
    Variant,
    read_belief,
    read_runs,
    read_study,
    write_bytes,
)

mpl.use("agg")
mpl.rcParams.update(
    {
        # Fixed, else the ids inside an SVG are new each time.
        "svg.hashsalt": "lr-ceiling",
        "svg.fonttype": "none",
        "figure.dpi": 120,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "font.size": 10,
    }
)
# Okabe and Ito's colours, told apart with every kind of colour vision; line styles differ too.
VARIANT_COLOURS: dict[Variant, str] = {"baseline": "#D55E00", "batchnorm": "#0072B2"}
VARIANT_STYLES: dict[Variant, str] = {"baseline": "--", "batchnorm": "-"}
LABEL_MARKS: dict[Label, tuple[str, str]] = {
    "stable": ("o", "#009E73"),
    "slow": ("s", "#E69F00"),
    "dead": ("X", "#000000"),
    "lost": ("v", "#CC79A7"),
    "exploded": ("^", "#D55E00"),
    "diverged": ("P", "#56B4E9"),
}


def pair_of_curves(cells: Mapping[Variant, Sequence[RunResult]], title: str) -> Figure:
    """Batch accuracy and validation accuracy by step, both variants in each panel.

    A thin line a seed, a bold one for their mean.
    """
    figure = Figure(figsize=(9, 3.6))
    training, validation = figure.subplots(1, 2, sharey=True)
    for variant, runs in cells.items():
        accuracies = [dict(zip(run.curve.steps, run.curve.accuracy, strict=True)) for run in runs]
        _draw_seeds(training, variant, accuracies)
        _draw_seeds(validation, variant, [validation_curve(run) for run in runs])
    training.set(
        title="training batches", xlabel="optimizer step", ylabel="accuracy", ylim=(0, 1.02)
    )
    validation.set(title="validation images", xlabel="optimizer step")
    handles, labels = validation.get_legend_handles_labels()
    # Below the panels: a dead network's curve may lie anywhere inside them.
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(title)
    return figure


def ceilings_of_arms(studies: Sequence[Study]) -> Figure:
    """lr90 of each arm with its 95% interval, on a log axis; an arrow where it is not bounded.

    The lighter mark is lr50.
    """
    figure = Figure(figsize=(9, 0.7 * len(studies) + 1.4))
    axes = figure.subplots()
    for row, study in enumerate(studies):
        colour = VARIANT_COLOURS[study.variant]
        _draw_estimate(axes, study.lr50, row + 0.16, colour, alpha=0.45)
        _draw_estimate(axes, study.lr90, row - 0.16, colour, alpha=1.0)
    names = [f"{study.variant}, {study.activation}" for study in studies]
    axes.set(
        xscale="log",
        xlabel="learning rate",
        yticks=range(len(studies)),
        yticklabels=names,
        ylim=(len(studies) - 0.5, -0.5),
    )
    axes.set_title(
        "Highest stable learning rates: lr90 (bold) and lr50 (light), 95% intervals", loc="left"
    )
    return figure


def probability_of_arms(
    studies: Sequence[Study], beliefs: Sequence[Belief], trials: Sequence[Sequence[RunResult]]
) -> Figure:
    """P(stable | learning rate) of each arm with its 95% band, a panel an arm; trials as marks."""
    figure = Figure(figsize=(9, 2.2 * len(studies) + 0.8))
    panels = np.atleast_1d(figure.subplots(len(studies), 1))
    for panel, study, belief, runs in zip(panels, studies, beliefs, trials, strict=True):
        colour = VARIANT_COLOURS[study.variant]
        panel.fill_between(
            belief.learning_rates, belief.low, belief.high, color=colour, alpha=0.2, linewidth=0
        )
        panel.plot(belief.learning_rates, belief.probability, color=colour)
        _draw_outcomes(panel, runs)
        panel.axhline(0.9, color="0.4", linestyle=":")
        panel.set(xscale="log", ylim=(-0.1, 1.1), ylabel="P(stable)", yticks=(0, 0.5, 1))
        panel.set_title(f"{study.variant}, {study.activation}", loc="left")
    panels[-1].set_xlabel("learning rate")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def trials_of_arms(arms: Mapping[str, Sequence[RunResult]]) -> Figure:
    """Validation accuracy by learning rate of every trial, a panel an arm, marked by label."""
    figure = Figure(figsize=(9, 2.2 * len(arms) + 0.8))
    panels = np.atleast_1d(figure.subplots(len(arms), 1, sharex=True))
    for panel, (arm, runs) in zip(panels, arms.items(), strict=True):
        for label, (marker, colour) in LABEL_MARKS.items():
            points = [
                (run.spec.learning_rate, run.validation_accuracy)
                for run in runs
                if run.label == label
            ]
            panel.scatter(*zip(*points, strict=True) if points else ([], []),
                          marker=marker, color=colour, label=label, zorder=3)  # fmt: skip
        panel.axhline(runs[0].spec.target_accuracy, color="0.4", linestyle=":")
        panel.set(xscale="log", ylim=(-0.03, 1.05), ylabel="accuracy")
        panel.set_title(arm.replace("-", " "), loc="left")
    panels[-1].set_xlabel("learning rate")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return figure


def draw_study(folder: Path, figures: Path) -> Path:
    """Draw the posterior of the search in `folder` into `figures`, and give the PNG for MLflow."""
    study, belief = read_study(folder / "study.json"), read_belief(folder / "posterior.json")
    figure = probability_of_arms([study], [belief], [read_runs(folder / "runs.json")])
    path = figures / f"posterior-{folder.name}"
    save(figure, path)
    return path.with_suffix(".png")


def save(figure: Figure, path: Path) -> None:
    """Write `path`.svg and `path`.png, without a date or the library's version in them."""
    for kind, metadata in (("svg", {"Date": None, "Creator": None}), ("png", {"Software": None})):
        content = io.BytesIO()
        figure.savefig(content, format=kind, metadata=metadata)
        write_bytes(path.with_name(f"{path.name}.{kind}"), content.getvalue())


def _draw_estimate(axes: Axes, found: Estimate, y: float, colour: str, alpha: float) -> None:
    low, high = found.ci95
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=colour, alpha=alpha, linewidth=3)
    elif low is not None:
        axes.plot([low], [y], marker=">", color=colour, alpha=alpha, markersize=9)
    elif high is not None:
        axes.plot([high], [y], marker="<", color=colour, alpha=alpha, markersize=9)
    if found.estimate is not None:
        axes.plot([found.estimate], [y], marker="o", color=colour, alpha=alpha, markersize=7)


def _draw_outcomes(axes: Axes, runs: Sequence[RunResult]) -> None:
    for label, (marker, colour) in LABEL_MARKS.items():
        rates = [run.spec.learning_rate for run in runs if run.label == label]
        height = 1.0 if label == "stable" else 0.0
        axes.scatter(rates, [height] * len(rates), marker=marker, color=colour, label=label,
                     zorder=3, clip_on=False)  # fmt: skip


def _draw_seeds(axes: Axes, variant: Variant, curves: Sequence[Mapping[int, float]]) -> None:
    style = {"color": VARIANT_COLOURS[variant], "linestyle": VARIANT_STYLES[variant]}
    for curve in curves:
        axes.plot(list(curve), list(curve.values()), linewidth=0.7, alpha=0.4, **style)  # type: ignore[arg-type]
    mean = mean_by_step(curves)
    axes.plot(list(mean), list(mean.values()), linewidth=2, label=variant, **style)  # type: ignore[arg-type]
