"""The figures; the one home of matplotlib. The same data give the same bytes.

All are as wide as a phone's page, so that their text is as large as the text around them.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from lr_ceiling.evidence.comparison import mean_by_step, training_curve, validation_curve
from lr_ceiling.evidence.measurement import Measurement
from lr_ceiling.evidence.records import (
    VARIANTS,
    Arm,
    Ratio,
    Study,
    TriedFinder,
    network,
    read_belief,
    read_study,
)
from lr_ceiling.execution.files import write_bytes
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import Variant
from lr_ceiling.problems.judge import Label
from lr_ceiling.report.words import (
    ceiling_in_short,
    decimal,
    in_short,
    likely,
)
from lr_ceiling.rounding import short
from lr_ceiling.search.estimates import LIKELY, Belief, Estimate

# Every colour of a figure by name, so that the page can set others in the dark. The bright ones are
# Okabe and Ito's, told apart with every kind of colour vision; line styles and marks differ too.
PALETTE = {
    "ink": "#1b1b1b",
    "muted": "#595959",
    "grid": "#d9d9d9",
    "paper": "#ffffff",
    "orange": "#d55e00",
    "blue": "#0072b2",
    "green": "#009e73",
    "amber": "#e69f00",
    "pink": "#cc79a7",
    "sky": "#56b4e9",
}
# Inches. At 10 points a letter is 10.5 px high on a page of 380 px.
WIDTH = 4.6
# Up to here the numbers of an axis are written out; beyond, all of its numbers are powers of ten.
LONGEST = 1e6
# The end of an axis of accuracies that has no 1, which is drawn there: 800 images of 800.
TOP = 0.999
mpl.use("agg")
mpl.rcParams.update(
    {
        # Fixed, else the ids inside an SVG are new each time.
        "svg.hashsalt": "lr-ceiling",
        "svg.fonttype": "none",
        "figure.dpi": 160,
        "figure.constrained_layout.use": True,
        "figure.facecolor": PALETTE["paper"],
        "axes.facecolor": PALETTE["paper"],
        "axes.edgecolor": PALETTE["muted"],
        "axes.labelcolor": PALETTE["ink"],
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": PALETTE["grid"],
        "text.color": PALETTE["ink"],
        "xtick.color": PALETTE["muted"],
        "ytick.color": PALETTE["muted"],
        "xtick.labelcolor": PALETTE["ink"],
        "ytick.labelcolor": PALETTE["ink"],
        "legend.frameon": False,
        "font.size": 10,
    }
)
VARIANT_COLOURS: dict[Variant, str] = {"baseline": PALETTE["orange"], "batchnorm": PALETTE["blue"]}
VARIANT_STYLES: dict[Variant, str] = {"baseline": "--", "batchnorm": "-"}
LABEL_MARKS: dict[Label, tuple[str, str]] = {
    "stable": ("o", PALETTE["green"]),
    "slow": ("s", PALETTE["amber"]),
    "dead": ("X", PALETTE["ink"]),
    "lost": ("v", PALETTE["pink"]),
    "exploded": ("^", PALETTE["orange"]),
    "diverged": ("P", PALETTE["sky"]),
}
# Of a rate at which no fresh seed is stable, some are, all are.
STABLE_COLOURS = (PALETTE["ink"], PALETTE["amber"], PALETTE["green"])
VALIDATION: dict[str, Any] = {"marker": "o", "markerfacecolor": PALETTE["paper"], "linestyle": ":"}
# In `ceilings_of_arms`, whose unit of height is a line of text: from one activation to the next,
# from an activation's first arm to its second, and from an arm up to its numbers.
GROUP, ARM, NUMBERS, BESIDE = 10.8, 5.4, 0.55, 1.1


def pair_of_curves(cells: Mapping[Variant, Sequence[RunResult]], title: str) -> Figure:
    """Batch accuracy and validation accuracy by step, both variants in each panel.

    A thin line a seed, a bold one for their mean.
    """
    figure = Figure(figsize=(WIDTH, 4.6))
    training, validation = figure.subplots(2, 1, sharex=True, sharey=True)
    for variant, runs in cells.items():
        style = {"color": VARIANT_COLOURS[variant], "linestyle": VARIANT_STYLES[variant]}
        accuracies = [dict(zip(run.curve.steps, run.curve.accuracy, strict=True)) for run in runs]
        name = VARIANTS[variant]
        _draw_seeds(training, accuracies, name, style)
        _draw_seeds(validation, [validation_curve(run) for run in runs], name, style)
    _accuracy_axis(training)
    training.set_title("training batches", loc="left")
    _accuracy_axis(validation)
    validation.set_xlabel("optimizer step")
    validation.set_title("validation images, inference", loc="left")
    _legend(figure, [validation])
    figure.suptitle(title, fontsize=11)
    return figure


def training_and_inference(cells: Mapping[str, Sequence[RunResult]]) -> Figure:
    """Validation accuracy by step in batch norm's two modes, a panel a cell, by its title.

    A thin line a seed, a bold one for their mean.
    """
    figure = Figure(figsize=(WIDTH, 1.55 * len(cells) + 0.8))
    panels = list(figure.subplots(len(cells), 1, sharex=True, sharey=True, squeeze=False)[:, 0])
    modes: dict[str, tuple[Callable[[RunResult], dict[int, float]], dict[str, str]]] = {
        "training mode": (training_curve, {"color": PALETTE["ink"], "linestyle": ":"}),
        "inference mode": (validation_curve, {"color": PALETTE["blue"], "linestyle": "-"}),
    }
    for panel, (title, runs) in zip(panels, cells.items(), strict=True):
        for mode, (curve, style) in modes.items():
            _draw_seeds(panel, [curve(run) for run in runs], mode, style)
        _accuracy_axis(panel)
        panel.set_title(title, loc="left")
    panels[-1].set_xlabel("optimizer step")
    _legend(figure, panels)
    return figure


def ceilings_of_arms(arms: Mapping[Arm, Measurement], ratios: Sequence[Ratio] = ()) -> Figure:
    """Two marks an arm with 95% intervals, on a log axis; a triangle where one-sided.

    Up to the one it trains, up to the other no accuracy is lost. Beside batch norm's stands how
    many times the baseline's they are.
    """
    activations = list(dict.fromkeys(activation for _, activation in arms))
    heights = _heights(list(arms), activations)
    figure = Figure(figsize=(WIDTH, 0.17 * (max(heights) + 6)))
    axes = figure.subplots()
    marks = {arm: (one.measured("lr90")[0], one.measured("usable")[0]) for arm, one in arms.items()}
    _rate_axis(axes, [rate for pair in marks.values() for found in pair for rate in _rates(found)])
    axes.set(ylim=(max(heights) + 1.8, -1.8), yticks=heights)
    axes.set_yticklabels([f"{activation}\n{VARIANTS[variant]}" for variant, activation in arms])
    axes.grid(axis="y", visible=False)
    times = {ratio.activation: ratio for ratio in ratios}
    for (arm, (trains, usable)), height in zip(marks.items(), heights, strict=True):
        variant, activation = arm
        colour = VARIANT_COLOURS[variant]
        _draw_estimate(axes, trains, height - BESIDE, colour, width=5)
        _draw_estimate(axes, usable, height + BESIDE, colour, width=5, marker="D")
        ratio = times.get(activation) if variant == "batchnorm" else None
        for found, told, y, many in (
            (trains, ceiling_in_short(trains), height - BESIDE, ratio.lr90 if ratio else None),
            (usable, in_short(usable), height + BESIDE, ratio.usable if ratio else None),
        ):
            _write(axes, _rates(found), y - NUMBERS, _with_times(told, many))
    figure.legend(handles=_limits(PALETTE["muted"]), loc="outside lower center", ncols=2)
    return figure


def range_tests_of_arms(
    arms: Mapping[Arm, Measurement], tried: Mapping[Arm, Sequence[TriedFinder]]
) -> Figure:
    """The ceiling of each arm, and under it the rates that range tests choose, on a log axis.

    A bar is lr90's 95% interval. The marks of a range test are coloured by how many fresh seeds
    were stable there; an arrow is the end of a sweep that never stopped.
    """
    # Tests by their sweep: `fastai suggestion` and `fastai edge` share a line.
    sweeps = list(dict.fromkeys(one.name.split()[0] for found in tried.values() for one in found))
    rows = len(sweeps) + 2
    figure = Figure(figsize=(WIDTH, 0.25 * rows * len(tried) + 1.2))
    axes = figure.subplots()
    ceilings = {arm: arms[arm].measured("lr90")[0] for arm in tried}
    rates = [rate for found in ceilings.values() for rate in _rates(found)]
    _rate_axis(axes, [*rates, *(one.learning_rate for found in tried.values() for one in found)])
    labels: dict[float, str] = {}
    for number, (arm, found) in enumerate(tried.items()):
        top = float(rows * number)
        labels[top] = f"{arm[1]}, {VARIANTS[arm[0]]}"
        _draw_estimate(axes, ceilings[arm], top, VARIANT_COLOURS[arm[0]], width=6)
        for line, sweep in enumerate(sweeps, 1):
            labels[top + line] = sweep
            _draw_sweep(axes, [one for one in found if one.name.startswith(sweep)], top + line)
    axes.set(ylim=(rows * len(tried) - 1, -1), yticks=list(labels))
    for text in axes.set_yticklabels(list(labels.values())):
        text.set_fontsize(10 if "," in text.get_text() else 9)
    axes.grid(axis="y", visible=False)
    figure.legend(handles=_finder_marks(), loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _draw_sweep(axes: Axes, found: Sequence[TriedFinder], y: float) -> None:
    axes.plot([one.learning_rate for one in found], [y] * len(found), color=PALETTE["grid"])
    for one in found:
        shape = "o" if one.name.endswith("suggestion") else "s" if one.stopped else ">"
        colour = STABLE_COLOURS[(one.stable > 0) + (one.stable == one.seeds)]
        axes.plot([one.learning_rate], [y], marker=shape, color=colour, markersize=7)


def _finder_marks() -> list[Line2D]:
    """The marks of range tests, for their legend."""
    shapes = {"suggestion": "o", "edge: the loss grew": "s", "edge: it never did": ">"}
    names = ("no seed is stable", "some seeds are", "all seeds are")
    return [
        *(
            Line2D([], [], color=PALETTE["muted"], marker=mark, linestyle="none", label=name)
            for name, mark in shapes.items()
        ),
        *(
            Line2D([], [], color=colour, marker="o", linestyle="none", label=name)
            for colour, name in zip(STABLE_COLOURS, names, strict=True)
        ),
    ]


def _limits(colour: str) -> list[Line2D]:
    """The marks of the two limits, for a legend."""
    return [
        Line2D([], [], color=colour, marker=marker, linewidth=5, label=name)
        for name, marker in (("trains up to (lr90)", "o"), ("no accuracy lost up to (usable)", "D"))
    ]


def _with_times(told: str, times: Estimate | None) -> str:
    """A rate in words, and how many times the baseline's it is if that has a number."""
    if times is None or times.estimate is None:
        return told
    return f"{told}, {short(times.estimate, 2)} times the baseline's"


def probability_of_arms(
    studies: Sequence[Study], beliefs: Sequence[Belief], trials: Sequence[Sequence[RunResult]]
) -> Figure:
    """P(stable | learning rate) of each arm with its 95% band, a panel an arm; trials as marks.

    Beyond the trials the curve is faded. Bars are the two limits with their intervals.
    """
    figure, panels = _panels_by_rate(trials, height=1.85)
    for panel, study, belief, runs in zip(panels, studies, beliefs, trials, strict=True):
        _draw_belief(panel, belief, runs, VARIANT_COLOURS[study.variant])
        # Beside the curve, which they would cover.
        _mark(panel, runs, [1.12 if run.label == "stable" else -0.12 for run in runs])
        panel.axhline(0.9, color=PALETTE["muted"], linestyle=":")
        panel.set(ylim=(-0.22, 1.22), ylabel="P(stable)", yticks=(0, 0.5, 0.9))
        _in_percent(panel)
        _draw_limits(panel, study)
        panel.set_title(f"{network(study)}: {_ceiling(study)}", loc="left", fontsize=9)
    _legend(figure, panels, more=_limits(PALETTE["ink"]))
    return figure


def _draw_belief(axes: Axes, belief: Belief, runs: Sequence[RunResult], colour: str) -> None:
    rates = np.asarray(belief.learning_rates)
    tried = [run.spec.learning_rate for run in runs]
    among = (rates >= min(tried)) & (rates <= max(tried)) if tried else np.zeros(len(rates), bool)
    low, middle, high = map(np.asarray, (belief.low, belief.probability, belief.high))
    for shown, band, line in ((np.full(len(rates), True), 0.07, 0.35), (among, 0.2, 1.0)):
        axes.fill_between(
            rates, low, high, where=shown.tolist(), color=colour, alpha=band, linewidth=0
        )
        axes.plot(rates[shown], middle[shown], color=colour, alpha=line)


def _draw_limits(axes: Axes, study: Study) -> None:
    usable = Estimate(estimate=study.usable.estimate, ci95=study.usable.ci95)
    if study.checks.lr90_exists >= LIKELY:
        _draw_estimate(axes, study.lr90, 0.9, PALETTE["ink"], width=3)
    _draw_estimate(axes, usable, 0.5, PALETTE["ink"], width=3, marker="D")


def _ceiling(study: Study) -> str:
    """A study's ceiling and how probable it is that there is one, in two lines."""
    exists = study.checks.lr90_exists
    if exists < LIKELY:
        best = f"the best rate is {short(study.surest.learning_rate, 3)}"
        return f"no rate trains nine times in ten\nthat is {likely(1 - exists)}; {best}"
    told = ceiling_in_short(study.lr90)
    if study.lr90.estimate is not None:
        told = f"trains up to {told}"
    return f"{told}\nsome rate trains nine times in ten: {likely(exists)}"


def trials_of_arms(arms: Mapping[str, Sequence[RunResult]]) -> Figure:
    """Validation accuracy, by weights, of every trial by learning rate, marked by label."""
    figure, panels = _panels_by_rate(list(arms.values()), height=1.55)
    for panel, (arm, runs) in zip(panels, arms.items(), strict=True):
        _mark(panel, runs, [run.accuracy_by_weights for run in runs])
        target = runs[0].spec.target_accuracy
        panel.axhline(target, color=PALETTE["muted"], linestyle=":")
        panel.set(ylim=(-0.1, 1.1), ylabel="accuracy", yticks=(0, 0.5, target))
        _in_percent(panel)
        panel.set_title(arm.replace("batchnorm", "batch norm").replace("-", ", "), loc="left")
    _legend(figure, panels)
    return figure


def around_the_edge(runs: Sequence[RunResult], title: str) -> Figure:
    """Loss and accuracy on training batches of single runs, by step; a cross where one was ended.

    The band holds the extremes of the loss. Circles are accuracies on validation images, by batch
    norm's training mode where there is one: what a run is judged by is near that.
    """
    figure = Figure(figsize=(WIDTH, 4.6))
    losses, accuracies = figure.subplots(2, 1, sharex=True)
    for run, style in zip(runs, ("-", "--"), strict=False):
        colour, curve = LABEL_MARKS[run.label][1], run.curve
        low, mean, high = map(_above_zero, (curve.loss_min, curve.loss, curve.loss_max))
        losses.fill_between(curve.steps, low, high, color=colour, alpha=0.2, linewidth=0)
        losses.plot(curve.steps, mean, color=colour, linestyle=style)
        name = f"learning rate {short(run.spec.learning_rate, 3)}: {run.label}"
        if run.steps < run.spec.horizon:
            name += f", ended at step {run.steps:,}"
            accuracies.plot(
                curve.steps[-1], curve.accuracy[-1], marker="X", markersize=9, color=colour,
                zorder=3,
            )  # fmt: skip
        accuracies.plot(curve.steps, curve.accuracy, color=colour, linestyle=style, label=name)
        checked = training_curve(run) or validation_curve(run)
        accuracies.plot(list(checked), list(checked.values()), color=colour, **VALIDATION)
    losses.set(yscale="log", ylabel="loss")
    _written_out(losses)
    accuracies.set(ylim=(0, 1.02), xlabel="optimizer step", ylabel="accuracy")
    _in_percent(accuracies)
    circle = Line2D([], [], color=PALETTE["muted"], label="on validation images", **VALIDATION)
    _legend(figure, [accuracies], ncols=1, more=[circle])
    figure.suptitle(title, fontsize=11)
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


def _panels_by_rate(
    arms: Sequence[Sequence[RunResult]], height: float
) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(WIDTH, height * len(arms) + 0.9))
    panels = list(figure.subplots(len(arms), 1, sharex=True, squeeze=False)[:, 0])
    _rate_axis(panels[-1], [run.spec.learning_rate for runs in arms for run in runs])
    return figure, panels


def _rate_axis(axes: Axes, rates: Sequence[float]) -> None:
    # Whole decades, so that at least two have their number.
    logs = np.log10(rates or [1.0])
    low, high = np.floor(logs.min() - 0.1), np.ceil(logs.max() + 0.1)
    axes.set(xscale="log", xlim=(10**low, 10**high), xlabel="learning rate")
    # Five numbers as long as 0.0001 fit beside one another, or four as long as 0.000001.
    axes.xaxis.set_major_locator(LogLocator(numticks=6 if low >= -5 else 5))
    axes.xaxis.set_minor_locator(NullLocator())
    # A tick lies a rounding beside its power of ten.
    axes.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: decimal(rate)))


def _accuracy_axis(axes: Axes) -> None:
    # Stretched towards 1, where networks that learn differ by a point, and chance is seen as well.
    axes.set_yscale("logit")
    axes.set(ylabel="accuracy", ylim=(0.05, TOP), yticks=(0.1, 0.5, 0.9, 0.99))
    axes.yaxis.set_minor_locator(NullLocator())
    _in_percent(axes)


def _in_percent(axes: Axes) -> None:
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


def _written_out(axes: Axes) -> None:
    """Numbers without exponents, as they stand beside axes that have none, where they fit."""
    if axes.get_ylim()[1] <= LONGEST:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: decimal(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _heights(arms: Sequence[Arm], activations: Sequence[str]) -> list[float]:
    met = dict.fromkeys(activations, 0.0)
    heights = []
    for _, activation in arms:
        heights.append(GROUP * activations.index(activation) + met[activation])
        met[activation] += ARM
    return heights


def _rates(found: Estimate) -> tuple[float, ...]:
    return tuple(rate for rate in (*found.ci95, found.estimate) if rate is not None)


def _write(axes: Axes, rates: Sequence[float], y: float, text: str) -> None:
    """Write above the middle of `rates`, as far as the axis has room on both sides."""
    left, right = np.log10(axes.get_xlim())
    middle = (np.log10([min(rates), max(rates)]).mean() - left) / (right - left) if rates else 0.5
    # A letter of 9 points takes about 0.022 of the axis.
    half = 0.011 * len(text) + 0.01
    x = np.clip(middle, half, 1 - half)
    axes.text(
        x, y, text, ha="center", va="bottom", transform=axes.get_yaxis_transform(), fontsize=9
    )


def _draw_estimate(
    axes: Axes, found: Estimate, y: float, colour: str, width: float, marker: str = "o"
) -> None:
    low, high = found.ci95
    size = 4 + width / 1.5
    if low is not None and high is not None:
        axes.plot([low, high], [y, y], color=colour, linewidth=width, alpha=0.6)
    elif low is not None:
        axes.plot([low], [y], marker=">", color=colour, markersize=size)
    elif high is not None:
        axes.plot([high], [y], marker="<", color=colour, markersize=size)
    if found.estimate is not None:
        axes.plot([found.estimate], [y], marker=marker, color=colour, markersize=size)


def _mark(axes: Axes, runs: Sequence[RunResult], heights: Sequence[float]) -> None:
    for label, (marker, colour) in LABEL_MARKS.items():
        points = [
            (run.spec.learning_rate, height)
            for run, height in zip(runs, heights, strict=True)
            if run.label == label
        ]
        if points:
            axes.scatter(*zip(*points, strict=True), marker=marker, color=colour, label=label,
                         zorder=3, clip_on=False)  # fmt: skip


def _draw_seeds(
    axes: Axes, curves: Sequence[Mapping[int, float]], label: str, style: Mapping[str, Any]
) -> None:
    def draw(curve: Mapping[int, float], **particular: Any) -> None:
        accuracies = [min(accuracy, TOP) for accuracy in curve.values()]
        # A line through one point is not to be seen.
        marker = "o" if len(curve) == 1 else None
        axes.plot(list(curve), accuracies, marker=marker, **style, **particular)

    for curve in curves:
        draw(curve, linewidth=0.7, alpha=0.4)
    draw(mean_by_step(curves), linewidth=2, label=label)


def _above_zero(losses: Sequence[float | None]) -> list[float]:
    # A loss below 0.0001 is drawn there: a log axis has no zero.
    return [np.nan if loss is None else max(loss, 1e-4) for loss in losses]


def _legend(
    figure: Figure, panels: Sequence[Axes], ncols: int = 3, more: Sequence[Line2D] = ()
) -> None:
    # Below the panels: a dead network's curve may lie anywhere inside them.
    found: dict[str, Artist] = {
        label: handle
        for panel in panels
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    found |= {str(handle.get_label()): handle for handle in more}
    figure.legend(
        list(found.values()),
        list(found),
        loc="outside lower center",
        ncols=min(2 if more else ncols, ncols, len(found)),
    )
