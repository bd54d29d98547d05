"""Compare the cells, gather the ceilings, draw the figures and write the page."""

import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import click
import jinja2
import pandas as pd
from markupsafe import Markup

from lr_ceiling import figures, params
from lr_ceiling.ceiling import Arm, ceilings, in_words, interval, ratios
from lr_ceiling.comparison import (
    mean_by_step,
    more_accurate,
    summarise_cell,
    validation_curve,
)
from lr_ceiling.errors import one_line_errors
from lr_ceiling.params import Grid
from lr_ceiling.runs import (
    Activation,
    RunResult,
    Study,
    Variant,
    read_belief,
    read_json,
    read_runs,
    read_study,
    write_json,
    write_text,
)
from lr_ceiling.terminal import console, print_table, quiet_option

Cell = tuple[Variant, Activation, float]
Cells = Mapping[Cell, Sequence[RunResult]]
Pairs = Mapping[str, Mapping[Variant, Sequence[RunResult]]]


@click.command()
@click.option("--train", type=click.Path(path_type=Path), required=True, help="the cells' folders")
@click.option("--search", type=click.Path(path_type=Path), required=True, help="the arms' folders")
@click.option("--validation", type=click.Path(path_type=Path), required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of reports")
@quiet_option
@one_line_errors
def main(train: Path, search: Path, validation: Path, output: Path) -> None:
    """Report on the cells and arms that params.yaml lists."""
    grid = params.load().grid
    names = cell_names(grid)
    cells = {cell: read_runs(train / name / "runs.json") for cell, name in names.items()}
    arms = arm_names(grid)
    trials = {name: read_runs(search / name / "runs.json") for name in arms.values()}
    studies = {arm: read_study(search / name / "study.json") for arm, name in arms.items()}
    beliefs = {arm: read_belief(search / name / "posterior.json") for arm, name in arms.items()}
    remove_others(train, names.values())
    remove_others(search, arms.values())
    pairs = pairs_of(cells, grid)
    summaries = [summarise_cell(runs) for runs in cells.values()]
    claims = [
        more_accurate(name, pair["baseline"], pair["batchnorm"])
        for name, pair in pairs.items()
        if len(pair) == 2
    ]
    write_json(output / "comparison.json", {"cells": summaries, "claims": claims})
    over_baseline = ratios(studies, beliefs)
    write_json(output / "ceilings.json", ceilings(studies.values(), over_baseline))
    write_json(output / "metrics.json", metrics(names.values(), summaries, studies.values()))
    write_plots(output / "plots", pairs)
    drawings = {
        f"curves-{name}": figures.pair_of_curves(pair, pair_title(pair))
        for name, pair in pairs.items()
    }
    drawings["ceilings"] = figures.ceilings_of_arms(list(studies.values()))
    drawings["probability"] = figures.probability_of_arms(
        list(studies.values()), list(beliefs.values()), list(trials.values())
    )
    drawings["trials"] = figures.trials_of_arms(trials)
    for name, figure in drawings.items():
        figures.save(figure, output / "figures" / name)
    write_page(
        output / "index.html",
        cells=summaries,
        claims=claims,
        studies=list(studies.values()),
        ratios=over_baseline,
        validation=read_json(validation),
        figures={name: read_svg(output / "figures" / f"{name}.svg") for name in drawings},
        in_words=in_words,
        interval=interval,
        percent=percent,
        median_steps=median_steps,
    )
    _print_report(summaries, list(studies.values()))


def cell_names(grid: Grid) -> dict[Cell, str]:
    """The name of each cell, as dvc.yaml's matrix makes it."""
    cells = product(grid.variants, grid.activations, grid.learning_rates)
    return {cell: "-".join(map(str, cell)) for cell in cells}


def arm_names(grid: Grid) -> dict[Arm, str]:
    """The name of each arm, as dvc.yaml's matrix makes it."""
    return {arm: "-".join(arm) for arm in product(grid.variants, grid.activations)}


def pairs_of(cells: Cells, grid: Grid) -> Pairs:
    """The variants of each activation and learning rate, side by side, by their name."""
    return {
        f"{activation}-{rate}": {
            variant: cells[variant, activation, rate] for variant in grid.variants
        }
        for activation, rate in product(grid.activations, grid.learning_rates)
    }


def remove_others(folder: Path, names: Collection[str]) -> None:
    """Remove the results that left the grid: DVC leaves them there, and would hash them.

    Its cache keeps them, so a cell that comes back is not trained again.
    """
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in names:
            console.print(f"removing {path}: it is not in the grid")
            shutil.rmtree(path)


def metrics(
    names: Iterable[str], cells: Sequence[Mapping[str, Any]], studies: Iterable[Study]
) -> dict[str, object]:
    """The figures that `dvc metrics show` lists, nested by cell and by arm."""
    return {
        "cells": {
            name: {
                "validation_accuracy": cell["validation_accuracy"]["mean"],
                "test_accuracy": cell["test_accuracy"]["mean"],
                "stable_runs": cell["labels"].get("stable", 0),
            }
            for name, cell in zip(names, cells, strict=True)
        },
        "arms": {
            f"{study.variant}-{study.activation}": {
                "lr50": study.lr50.estimate,
                "lr90": study.lr90.estimate,
                "lr90_low": study.lr90.ci95[0],
                "lr90_high": study.lr90.ci95[1],
                "full_run_equivalents": study.full_run_equivalents,
            }
            for study in studies
        },
    }


def write_plots(folder: Path, pairs: Pairs) -> None:
    """Write for `dvc plots` a table a pair: mean validation accuracy of each variant by step."""
    for name, pair in pairs.items():
        columns = {
            variant: mean_by_step([validation_curve(run) for run in runs])
            for variant, runs in pair.items()
        }
        table = pd.DataFrame(columns).sort_index().rename_axis("step")
        write_text(folder / f"{name}.csv", table.to_csv(lineterminator="\n"))


def pair_title(pair: Mapping[Variant, Sequence[RunResult]]) -> str:
    """What a pair has in common, in words."""
    runs = next(iter(pair.values()))
    spec = runs[0].spec
    return f"{spec.activation}, learning rate {spec.learning_rate:g}, {len(runs)} seeds"


def write_page(path: Path, **content: object) -> None:
    """Write the report page: self-contained, its figures inline as SVG."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lr_ceiling"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_text(path, environment.get_template("report.html").render(content))


def read_svg(path: Path) -> Markup:
    """A figure to put into the page."""
    text = path.read_text(encoding="utf-8")
    return Markup(text[text.index("<svg") :])


def _print_report(cells: Sequence[Mapping[str, Any]], studies: Sequence[Study]) -> None:
    rows = [
        (
            f"{cell['variant']} {cell['activation']} {cell['learning_rate']:g}",
            percent(cell["validation_accuracy"]),
            percent(cell["test_accuracy"]),
            ", ".join(f"{count} {label}" for label, count in cell["labels"].items()),
        )
        for cell in cells
    ]
    print_table("cells", ("cell", "validation accuracy %", "test accuracy %", "labels"), rows)
    arms = [
        (
            f"{study.variant} {study.activation}",
            in_words(study),
            interval(study.lr50),
            str(study.trials),
            f"{study.full_run_equivalents:.2f}",
        )
        for study in studies
    ]
    print_table("ceilings", ("arm", "ceiling", "lr50", "trials", "full runs spent"), arms)


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


if __name__ == "__main__":
    main()
