"""Verify the ceilings by fresh seeds, to the full horizon, and hold LR range tests against them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from lr_ceiling import params
from lr_ceiling.batch import run_all
from lr_ceiling.ceiling import TARGETS, Ceiling
from lr_ceiling.comparison import conditions_of
from lr_ceiling.dataset import splits_digest
from lr_ceiling.digits import significant
from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.plan import aim_of, calls_of, posterior_of
from lr_ceiling.posterior import CREDIBLE, Posterior
from lr_ceiling.runs import (
    RunResult,
    RunSpec,
    Study,
    derived_seed,
    read_audit,
    read_runs,
    read_study,
    write_json,
)
from lr_ceiling.terminal import print_table, step_progress
from lr_ceiling.verification import (
    FINDER_COLUMNS,
    LIMIT,
    POINT_COLUMNS,
    finder_rows,
    point_rows,
    points_in_words,
    points_of,
)
from lr_ceiling.workers import ENVIRONMENT, Workers, muted_stderr

# Fresh seeds at each point of an arm, and at what a range test says.
SEEDS, FINDER_SEEDS = 20, 5
# Of the seeds at lr90's lower limit at least so many must be stable, however wide the prediction:
# where P(stable) is 0.9, 16 of 20 or more are with probability 0.96.
LEAST = 0.8

Run = Callable[[Sequence[RunSpec]], list[RunResult]]
FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--search", type=FOLDER, required=True, help="the arms' folders")
@click.option("--audit", type=click.Path(path_type=Path), required=True, help="of early decisions")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=FOLDER, required=True, help="folder of runs")
@one_line_errors
def main(splits: Path, search: Path, audit: Path, output: Path, state: Path) -> None:
    """Verify every arm, then try range tests; one that was stopped goes on where it was."""
    values = params.load()
    digest = splits_digest(splits)
    calls = calls_of(read_audit(audit))
    folders = sorted(path.parent for path in search.glob("*/study.json"))
    if not folders:
        raise ResultsError(f"{search} holds no search: run `dvc repro` to make them")
    # Range tests train in this process; late, since TensorFlow takes 5 s to import.
    os.environ.update(ENVIRONMENT)
    with muted_stderr():
        from lr_ceiling import training

        training.configure()
    total = len(folders) * (len(TARGETS) + 1) * SEEDS * values.training.epochs
    with (
        step_progress("verify", total * values.training.steps_per_epoch) as progress,
        Workers(values.workers.processes, progress.steps) as workers,
    ):

        def run(specs: Sequence[RunSpec]) -> list[RunResult]:
            return run_all(specs, splits, state, workers)

        def write() -> None:
            # What is known so far, should this be stopped.
            write_json(output, {"conditions": conditions_of(template), "arms": arms})

        arms: list[dict[str, Any]] = []
        swept: list[tuple[Posterior, RunSpec]] = []
        for folder in folders:
            study = read_study(folder / "study.json")
            aim = aim_of(study.key, study.variant, study.activation, values.search, calls)
            trials = read_runs(folder / "runs.json")
            posterior = Ceiling(posterior_of(aim, trials)).posterior
            template = RunSpec.of(
                values.training,
                variant=study.variant,
                activation=study.activation,
                learning_rate=1.0,
                seed=0,
                data_digest=digest,
            )
            points = verify_points(study, posterior, template, run)
            arms.append(
                {
                    "variant": study.variant,
                    "activation": study.activation,
                    "points": points,
                    "finders": [],
                }
            )
            swept.append((posterior, template))
            write()
            progress.say(f"{folder.name}: {points_in_words(points)}")
        for arm, (posterior, template) in zip(arms, swept, strict=True):
            arm["finders"] = verify_finders(posterior, template, splits, run)
            write()
    print_table("verified", POINT_COLUMNS, point_rows(arms))
    print_table("range tests", FINDER_COLUMNS, finder_rows(arms))


def verify_points(
    study: Study, posterior: Posterior, template: RunSpec, run: Run
) -> list[dict[str, Any]]:
    """Twenty fresh seeds at lr90's lower limit, at lr90 and at lr50; those that are known."""
    points = []
    for name, rate in points_of(study).items():
        stable = count_stable(study.key, name, rate, SEEDS, template, run)
        low, high = predicted(posterior, rate, SEEDS)
        points.append(
            {
                "at": name,
                "learning_rate": rate,
                "seeds": SEEDS,
                "stable": stable,
                "predicted": [low, high],
                "right": low <= stable <= high and (name != LIMIT or stable >= LEAST * SEEDS),
            }
        )
    return points


def verify_finders(
    posterior: Posterior, template: RunSpec, splits: Path, run: Run
) -> list[dict[str, Any]]:
    """What range tests suggest, and where they stop, with five fresh seeds there."""
    from lr_ceiling import finders

    found = []
    for finder in finders.FINDERS:
        said = finders.sweep(
            finder, template.variant, template.activation, template.optimizer, 0, splits
        )
        for name, rate in (("suggestion", said.suggestion), ("edge", said.edge)):
            key = f"{finder.name} {name}"
            found.append(
                {
                    "name": key,
                    "learning_rate": significant(rate),
                    "stopped": said.stopped,
                    "probability": probability(posterior, rate),
                    "seeds": FINDER_SEEDS,
                    "stable": count_stable("finder", key, rate, FINDER_SEEDS, template, run),
                }
            )
    return found


def probability(posterior: Posterior, rate: float) -> float | None:
    """P(stable) there; None where no trial may go, so that none can contradict the curve."""
    u, bounds = float(np.log10(rate)), posterior.curves.bounds
    if not bounds.lowest <= u <= bounds.highest:
        return None
    return round(float(posterior.band(np.array([u]))[0][0]), 4)


def count_stable(key: str, name: str, rate: float, seeds: int, template: RunSpec, run: Run) -> int:
    """How many fresh seeds are stable at `rate`, all run to their horizon."""
    specs = [
        template.model_copy(
            update={"learning_rate": rate, "seed": derived_seed("verify", key, name, index)}
        )
        for index in range(seeds)
    ]
    return sum(one.label == "stable" for one in run(specs))


def predicted(posterior: Posterior, rate: float, runs: int) -> tuple[int, int]:
    """The 95% interval of how many of `runs` fresh seeds are stable at `rate`."""
    below = posterior.predictive(float(np.log10(rate)), runs).cumsum()
    tail = (1 - CREDIBLE) / 2
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail))


if __name__ == "__main__":
    main()
