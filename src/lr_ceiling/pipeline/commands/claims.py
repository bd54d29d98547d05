"""Test those of the post's claims that need runs of their own.

More seeds of the grid, more activations, other scales of the initial weights: two hundred runs that
no stage needs, so that `dvc repro` stays short.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import count, islice, product
from pathlib import Path
from typing import Any, get_args

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.claims import (
    Claim,
    claims_of,
    easier_initialisation,
    in_decades,
    more_activations,
    subject_of,
    viability,
)
from lr_ceiling.evidence.initialisation import BUDGET, SIGN, EdgeSearch, search_all, width
from lr_ceiling.evidence.runs import run_all
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.files import write_json
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.params import Grid
from lr_ceiling.pipeline.terminal import StepProgress, print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.report.words import CLAIM_COLUMNS, claim_row
from lr_ceiling.rounding import short, significant
from lr_ceiling.search.ceiling import Estimate

# Of each cell of the grid: the sign test's interval of a median of 12 leaves out two at each end.
SEEDS = 12
# Whether a cell is viable is seldom in doubt after so many seeds.
VIABLE_SEEDS = 4
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "elu", "softsign")
# The post's two learning rates; initial scales are searched at the first.
RATES = (0.001, 0.01)

VARIANTS: tuple[Variant, ...] = get_args(Variant)
FOLDER = click.Path(file_okay=False, path_type=Path)


class RunSource:
    """Gives the results of specs: those known beforehand, those kept in `state`, and new ones."""

    def __init__(
        self,
        known: Iterable[RunResult],
        splits: Path,
        state: Path,
        runner: Runner,
        progress: StepProgress,
    ) -> None:
        # Steps of runs that an earlier, interrupted call of the command took.
        self.taken_before = 0
        self._known = {run.spec: run for run in known}
        self._splits, self._store = splits, RunStore(state)
        self._runner, self._progress = runner, progress

    def of(self, specs: Sequence[RunSpec], test: bool = False) -> list[RunResult]:
        """The results of `specs`, in their order; with `test` they hold the test accuracy."""
        missing = [spec for spec in specs if spec not in self._known]
        kept = [spec for spec in missing if self._store.find(spec, test)]
        self.taken_before += sum(spec.horizon for spec in kept)
        for run in run_all(missing, self._splits, self._store, self._runner, self._told, test):
            self._known[run.spec] = run
        return [self._known[spec] for spec in specs]

    def of_all(
        self, groups: Sequence[Sequence[RunSpec]], test: bool = False
    ) -> list[list[RunResult]]:
        """The same of each group, all groups side by side."""
        self.of([spec for specs in groups for spec in specs], test)
        return [self.of(specs) for specs in groups]

    def _told(self, run: RunResult) -> None:
        scale = (
            "" if run.spec.init_scale == 1 else f", initial scale {short(run.spec.init_scale, 3)}"
        )
        self._progress.say(
            f"{run.spec.name}{scale}: {run.label} at accuracy {run.validation_accuracy:.3f}"
        )


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--train", type=FOLDER, required=True, help="the cells' folders")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=FOLDER, required=True, help="folder of runs")
@one_line_errors
def main(splits: Path, train: Path, output: Path, state: Path) -> None:
    """Test the claims that need more runs; what was stopped goes on where it was."""
    values = params.load()
    template = RunSpec.of(
        values.training,
        variant="baseline",
        activation="relu",
        learning_rate=RATES[0],
        seed=0,
        data_digest=splits_digest(splits),
    )
    known = [run for path in sorted(train.glob("*/runs.json")) for run in read_runs(path)]
    seeds = seeds_from(values.train.seeds)
    cells = cells_of(template, values.grid, seeds)
    activations = activation_cells(template, seeds[:VIABLE_SEEDS])
    arms = list(product(values.grid.variants, values.grid.activations))
    fixed = {spec for specs in (*cells.values(), *activations) for spec in specs}
    more = len(fixed - {run.spec for run in known}) + int(BUDGET) * len(SIGN) * len(arms)
    subject = subject_of(template, values.grid)
    parts: dict[str, list[dict[str, Any]]] = {"claims": [], "cells": [], "initialisation": []}

    def add(claims: Iterable[Claim], **found: list[dict[str, Any]]) -> None:
        """Write what is known so far, should this be stopped."""
        parts["claims"] += [claim.model_dump() for claim in claims]
        parts.update(found)
        write_json(output, {"subject": subject, **parts})

    with (
        step_progress("claims", more * template.horizon) as progress,
        workers(
            values.workers.processes,
            lambda steps: progress.steps(source.taken_before + steps[""]),
        ) as runner,
    ):
        source = RunSource(known, splits, state, runner, progress)
        results = dict(zip(cells, source.of_all(list(cells.values()), test=True), strict=True))
        add(claims_of(results, [], {}))
        viabilities = [viability(runs) for runs in source.of_all(activations)]
        add([more_activations(viabilities)], cells=[one.model_dump() for one in viabilities])
        searches = edge_searches(template, arms, results)
        search_all([one for pair in searches.values() for one in pair], source.of)
        add(
            initialisation_claims(searches, template.learning_rate),
            initialisation=[initialisation_of(*pair) for pair in searches.values()],
        )
    tested = map(Claim.model_validate, parts["claims"])
    print_table("claims", CLAIM_COLUMNS, map(claim_row, tested))


def seeds_from(seeds: Sequence[int]) -> list[int]:
    """The grid's seeds and the next integers, SEEDS in all, or all of the grid's if more."""
    others = (number for number in count() if number not in seeds)
    return [*seeds, *islice(others, max(SEEDS - len(seeds), 0))]


def cells_of(
    template: RunSpec, grid: Grid, seeds: Sequence[int]
) -> dict[tuple[Variant, Activation, float], list[RunSpec]]:
    """The runs of each cell of the grid."""
    return {
        (variant, activation, rate): _seeded(template, variant, activation, rate, seeds)
        for variant, activation, rate in product(
            grid.variants, grid.activations, grid.learning_rates
        )
    }


def activation_cells(template: RunSpec, seeds: Sequence[int]) -> list[list[RunSpec]]:
    """The runs of both variants with each activation at each learning rate."""
    return [
        _seeded(template, variant, activation, rate, seeds)
        for variant, activation, rate in product(VARIANTS, ACTIVATIONS, RATES)
    ]


def _seeded(
    template: RunSpec,
    variant: Variant,
    activation: Activation,
    rate: float,
    seeds: Iterable[int],
) -> list[RunSpec]:
    cell = {"variant": variant, "activation": activation, "learning_rate": rate}
    return [template.model_copy(update={**cell, "seed": seed}) for seed in seeds]


def edge_searches(
    template: RunSpec,
    arms: Iterable[tuple[Variant, Activation]],
    results: Mapping[tuple[Variant, Activation, float], Sequence[RunResult]],
) -> dict[tuple[Variant, Activation], list[EdgeSearch]]:
    """The searches of each arm's upper and lower edge, which know its runs in `results`."""
    searches = {}
    for variant, activation in arms:
        arm = template.model_copy(update={"variant": variant, "activation": activation})
        unscaled = results.get((variant, activation, arm.learning_rate), [])
        searches[variant, activation] = [EdgeSearch(arm, side, unscaled) for side in SIGN]
    return searches


def initialisation_of(upper: EdgeSearch, lower: EdgeSearch) -> dict[str, Any]:
    """What the two searches of an arm found: scales are factors on Glorot's, widths in decades."""
    return {
        "variant": upper.template.variant,
        "activation": upper.template.activation,
        "learning_rate": upper.template.learning_rate,
        "runs": runs_of(upper, lower),
        "exists": round(min(upper.exists, lower.exists), 4),
        "lower": asdict(rounded(lower.edge[0])),
        "upper": asdict(rounded(upper.edge[0])),
        "width_decades": asdict(in_decades(width(upper, lower)[0])),
    }


def initialisation_claims(
    searches: Mapping[tuple[Variant, Activation], Sequence[EdgeSearch]], rate: float
) -> list[Claim]:
    """The claim of each activation that was searched with both variants."""
    found = []
    for activation in dict.fromkeys(activation for _, activation in searches):
        pairs = [
            searches[variant, activation]
            for variant in VARIANTS
            if (variant, activation) in searches
        ]
        if len(pairs) == len(VARIANTS):
            baseline, batchnorm = (width(*pair) for pair in pairs)
            runs = sum(runs_of(*pair) for pair in pairs)
            found.append(easier_initialisation(activation, rate, baseline, batchnorm, runs))
    return found


def runs_of(upper: EdgeSearch, lower: EdgeSearch) -> int:
    """How many runs the two searches rest on; both know those at Glorot's scale."""
    return len({run.spec for run in (*upper.runs, *lower.runs)})


def rounded(found: Estimate) -> Estimate:
    """An estimate to four digits: far finer than any interval."""
    low, value, high = (
        end and significant(end) for end in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return Estimate(estimate=value, ci95=(low, high))


if __name__ == "__main__":
    main()
