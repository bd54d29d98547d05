"""Compare the cells, gather the ceilings, draw the figures and write the page."""

import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain, product
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.ceilings import ceilings, ratios
from lr_ceiling.evidence.claims import bias_unnecessary, claims_of, subject_of
from lr_ceiling.evidence.comparison import (
    around,
    conditions_of,
    gap,
    mean_by_step,
    more_accurate,
    summarise_cell,
    validation_curve,
)
from lr_ceiling.evidence.records import Arm, Ratio, Study, read_belief, read_study
from lr_ceiling.evidence.verification import verified_arms
from lr_ceiling.execution import provenance
from lr_ceiling.execution.files import read_json, write_json, write_text
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import Activation, Variant
from lr_ceiling.mnist.version import LIBRARIES, engine_digest
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.params import Grid
from lr_ceiling.pipeline.terminal import console, print_table, quiet_option
from lr_ceiling.report import figures, page
from lr_ceiling.report.words import in_words, interval
from lr_ceiling.rounding import significant
from lr_ceiling.search.ceiling import NOTHING, Belief, Estimate

Cell = tuple[Variant, Activation, float]
Cells = Mapping[Cell, Sequence[RunResult]]
Pairs = Mapping[str, Mapping[Variant, Sequence[RunResult]]]
FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
# Named on the page: what makes the numbers.
SHOWN = (*LIBRARIES, "optuna", "scipy", "great-expectations", "mlflow", "dvc")


@dataclass(frozen=True)
class Search:
    """What the search of an arm left."""

    study: Study
    belief: Belief
    trials: Sequence[RunResult]

    @classmethod
    def read(cls, folder: Path) -> "Search":
        """Read the folder that the `search` stage wrote."""
        return cls(
            read_study(folder / "study.json"),
            read_belief(folder / "posterior.json"),
            read_runs(folder / "runs.json"),
        )

    @property
    def edge(self) -> float | None:
        """The learning rate around which runs begin to die; None where none was stable."""
        return self.study.lr50.estimate or self.study.highest_stable


@click.command()
@click.option("--train", type=FOLDER, required=True, help="the cells' folders")
@click.option("--search", type=FOLDER, required=True, help="the arms' folders")
@click.option("--theory", type=FOLDER, required=True, help="the arms' critical learning rates")
@click.option("--validation", type=FILE, required=True, help="what was expected of the data")
@click.option("--verification", type=FILE, required=True, help="fresh seeds at the ceilings")
@click.option("--claims", "tested", type=FILE, required=True, help="claims tested by more runs")
@click.option("--output", type=FOLDER, required=True, help="folder of reports")
@quiet_option
@one_line_errors
def main(
    train: Path,
    search: Path,
    theory: Path,
    validation: Path,
    verification: Path,
    tested: Path,
    output: Path,
) -> None:
    """Report on the cells and arms that params.yaml lists."""
    grid = params.load().grid
    names = cell_names(grid)
    cells = {cell: read_runs(train / name / "runs.json") for cell, name in names.items()}
    arms = arm_names(grid)
    searches = {arm: Search.read(search / name) for arm, name in arms.items()}
    critical = {arm: read_json(theory / f"{name}.json") for arm, name in arms.items()}
    studies = [one.study for one in searches.values()]
    spec = cells[next(iter(cells))][0].spec
    expectations = read_json(validation)
    verified = verified_arms(read_json(verification), conditions_of(spec), studies)
    sure = {(arm["variant"], arm["activation"]) for arm in verified}
    from_more_runs = claims_on(subject_of(spec, grid), read_json(tested))
    remove_others(train, names.values())
    remove_others(search, arms.values())
    remove_others(theory, [f"{name}.json" for name in arms.values()])
    pairs = pairs_of(cells, grid)
    summaries = [summarise_cell(runs) for runs in cells.values()]
    claims = [
        more_accurate(name, pair["baseline"], pair["batchnorm"])
        for name, pair in pairs.items()
        if len(pair) == 2
    ]
    over_baseline = ratios(
        {arm: one.study for arm, one in searches.items()},
        {arm: one.belief for arm, one in searches.items()},
    )
    effects = {arm[1]: critical[arm]["bias"] for arm in arms if arm[0] == "batchnorm"}
    claims += [claim.model_dump() for claim in claims_of(cells, over_baseline, trials_of(studies))]
    claims += [bias_unnecessary(name, effect).model_dump() for name, effect in effects.items()]
    claims = updated(claims, from_more_runs["claims"])
    write_json(output / "comparison.json", {"cells": summaries, "claims": claims})
    predictions = {arm: held_against(one.study, critical[arm]) for arm, one in searches.items()}
    in_file = ceilings(studies, over_baseline)
    for arm, prediction in zip(in_file["arms"], predictions.values(), strict=True):
        arm["theory"] = prediction
    write_json(output / "ceilings.json", in_file)
    found = metrics(names.values(), summaries, studies, over_baseline, claims)
    write_json(output / "metrics.json", found)
    write_plots(output / "plots", pairs, searches)
    normalised = {
        f"{cell[1]}, learning rate {cell[2]:g}": runs
        for cell, runs in cells.items()
        if cell[0] == "batchnorm"
    }
    drawn = draw(output / "figures", pairs, searches, over_baseline, normalised)
    runs = [*chain(*cells.values()), *chain(*(one.trials for one in searches.values()))]
    content = {
        "answer": page.answer(over_baseline, studies),
        "cells": summaries,
        "claims": claims,
        "studies": studies,
        "ratios": over_baseline,
        "theory": {" ".join(arm): one for arm, one in predictions.items()},
        "gaps": {title: gap(runs) for title, runs in normalised.items()},
        "drawn": drawn,
        "made": made_of(runs, studies),
        "validation": expectations,
        "verified": verified,
        "unverified": [
            f"{study.variant}, {study.activation}"
            for study in studies
            if (study.variant, study.activation) not in sure
        ],
        "tested": from_more_runs,
    }
    text = page.render(output / "figures", executed=None, **content)
    write_text(output / "index.html", text)
    # The same page with what is true of one execution alone, which nothing hashes.
    executed = executed_by(runs)
    copy = provenance.root() / "state" / "report.html"
    write_text(copy, page.render(output / "figures", executed=executed, **content))
    _print_report(summaries, studies)
    # Whole, for a terminal that makes a link of it.
    pages = f"the page: {output / 'index.html'}; with times and machine: {copy}"
    console.print(pages, soft_wrap=True)


def trials_of(studies: Iterable[Study]) -> dict[Activation, int]:
    """How many trials the ratio of an activation's ceilings rests on."""
    trials: Counter[Activation] = Counter()
    for study in studies:
        trials[study.activation] += study.trials
    return dict(trials)


def claims_on(subject: str, tested: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts of reports/claims.json if they are of this subject, else none in each of them."""
    return tested if tested.get("subject") == subject else {part: [] for part in page.TESTED}


def updated(
    claims: Sequence[dict[str, Any]], tested: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The claims with those of more runs in the place of the same id, or after them."""
    by_id = {claim["id"]: claim for claim in (*claims, *tested)}
    return list(by_id.values())


def held_against(study: Study, critical: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The critical learning rates of an arm, and how many times their median its ceilings are."""

    def times(median: float | None, found: Estimate) -> dict[str, Any]:
        if median is None:
            return asdict(NOTHING)
        low, value, high = (
            end and significant(end / median, 3)
            for end in (found.ci95[0], found.estimate, found.ci95[1])
        )
        return asdict(Estimate(estimate=value, ci95=(low, high)))

    def against(seen: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **{name: seen[name] for name in ("median", "least", "most", "n")},
            "lr90_over_median": times(seen["median"], study.lr90),
            "lr50_over_median": times(seen["median"], study.lr50),
        }

    return {state: against(critical[state]) for state in ("initial", "trained")}


def draw(
    folder: Path,
    pairs: Pairs,
    searches: Mapping[Arm, Search],
    over_baseline: Sequence[Ratio],
    normalised: Mapping[str, Sequence[RunResult]],
) -> list[str]:
    """Draw the figures into `folder`; returns their names."""
    found = list(searches.values())
    studies = [one.study for one in found]
    drawings = {
        "ceilings": figures.ceilings_of_arms(studies, over_baseline),
        "probability": figures.probability_of_arms(
            studies, [one.belief for one in found], [one.trials for one in found]
        ),
        "trials": figures.trials_of_arms(
            {"-".join(arm): one.trials for arm, one in searches.items()}
        ),
    }
    for name, pair in pairs.items():
        drawings[f"curves-{name}"] = figures.pair_of_curves(pair, pair_title(pair))
    for (variant, activation), one in searches.items():
        if one.edge:
            drawings[f"edge-{variant}-{activation}"] = figures.around_the_edge(
                around(one.trials, one.edge), f"{variant}, {activation}"
            )
    if normalised:
        drawings["modes"] = figures.training_and_inference(normalised)
    for name, figure in drawings.items():
        figures.save(figure, folder / name)
    return list(drawings)


def made_of(runs: Sequence[RunResult], studies: Sequence[Study]) -> dict[str, Any]:
    """What the results follow from, and what they took."""
    return {
        "params": digest_of([run.spec.key for run in runs], [study.key for study in studies]),
        "code": engine_digest(),
        "versions": {name: version(name) for name in SHOWN},
        "runs": len(runs),
        "steps": sum(run.steps for run in runs),
        "spec": runs[0].spec,
    }


def executed_by(runs: Iterable[RunResult]) -> dict[str, Any] | None:
    """When, for how long, where and from which commits these runs were executed, where known."""
    known = [found for run in runs if (found := provenance.read_facts(run.spec.key))]
    if not known:
        return None
    started = datetime.fromtimestamp(min(one.started for one in known), UTC)
    return {
        "runs": len(known),
        "started": f"{started:%Y-%m-%d %H:%M}",
        "core_hours": sum(one.seconds for one in known) / 3600,
        "machines": sorted({one.machine for one in known}),
        "commits": sorted({one.commit for one in known if one.commit}),
    }


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
    for path in sorted(folder.glob("[!.]*")):
        if path.name not in names:
            console.print(f"removing {path}: it is not in the grid")
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def metrics(
    names: Iterable[str],
    cells: Sequence[Mapping[str, Any]],
    studies: Iterable[Study],
    over_baseline: Iterable[Ratio],
    claims: Iterable[Mapping[str, Any]],
) -> dict[str, object]:
    """The figures that `dvc metrics show` lists, nested by cell, arm, activation and claim."""
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
        "ratios": {
            ratio.activation: {
                "lr90": ratio.lr90.estimate,
                "lr90_low": ratio.lr90.ci95[0],
                "lr90_high": ratio.lr90.ci95[1],
            }
            for ratio in over_baseline
        },
        "claims": {
            claim["id"]: claim["estimate"] for claim in claims if claim["estimate"] is not None
        },
    }


def write_plots(folder: Path, pairs: Pairs, searches: Mapping[Arm, Search]) -> None:
    """Write the tables that `dvc plots` draws.

    `curves`: mean validation accuracy of each variant by step, a table a pair. `probability` and
    `trials`: P(stable) with its band, and every trial, a table an arm; DVC's axes are linear, so
    the learning rate is there as its decimal logarithm.
    """
    for name, pair in pairs.items():
        columns = {
            variant: mean_by_step([validation_curve(run) for run in runs])
            for variant, runs in pair.items()
        }
        curves = pd.DataFrame(columns).sort_index().rename_axis("step").reset_index()
        _write_table(folder / "curves" / f"{name}.csv", curves)
    for arm, one in searches.items():
        name = f"{'-'.join(arm)}.csv"
        band = {
            "log10_learning_rate": np.log10(one.belief.learning_rates).round(4),
            "probability": one.belief.probability,
            "low": one.belief.low,
            "high": one.belief.high,
        }
        _write_table(folder / "probability" / name, pd.DataFrame(band))
        rates = [run.spec.learning_rate for run in one.trials]
        trials = {
            "log10_learning_rate": np.log10(rates).round(4),
            "validation_accuracy": [run.validation_accuracy for run in one.trials],
            "label": [run.label for run in one.trials],
        }
        _write_table(folder / "trials" / name, pd.DataFrame(trials))


def _write_table(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def pair_title(pair: Mapping[Variant, Sequence[RunResult]]) -> str:
    """What a pair has in common, in words."""
    runs = next(iter(pair.values()))
    spec = runs[0].spec
    return f"{spec.activation}, learning rate {spec.learning_rate:g}, {len(runs)} seeds"


def _print_report(cells: Sequence[Mapping[str, Any]], studies: Sequence[Study]) -> None:
    rows = [
        (
            f"{cell['variant']} {cell['activation']} {cell['learning_rate']:g}",
            page.percent(cell["validation_accuracy"]),
            page.percent(cell["test_accuracy"]),
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
    for study in studies:
        if wrong := study.early_decisions.wrong:
            console.print(
                f"warning: {study.variant} {study.activation}: {wrong} of "
                f"{study.early_decisions.audited} early calls that were not followed were wrong: "
                "run `make audit`"
            )


if __name__ == "__main__":
    main()
