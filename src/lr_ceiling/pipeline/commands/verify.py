"""Verify the ceilings by fresh seeds, to the full horizon, and hold LR range tests against them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.records import Audit, Study, read_audit, read_study
from lr_ceiling.evidence.runs import run_all
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.evidence.study import posterior_of
from lr_ceiling.evidence.verification import (
    FINDER_COLUMNS,
    LIMIT,
    POINT_COLUMNS,
    finder_rows,
    point_rows,
    points_in_words,
    points_of,
)
from lr_ceiling.execution.environment import muted_stderr, pin
from lr_ceiling.execution.files import write_json
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.params import Params
from lr_ceiling.pipeline.terminal import print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.search.ceiling import Ceiling
from lr_ceiling.search.posterior import CREDIBLE, Posterior

# Fresh seeds at each point of an arm, and at what a range test says.
SEEDS, FINDER_SEEDS = 20, 5
# Of the seeds at lr90's lower limit at least so many must be stable, however wide the prediction:
# where P(stable) is 0.9, 16 of 20 or more are with probability 0.96.
LEAST = 0.8

# What is read off a range test.
RATES = ("suggestion", "edge")

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
    audited, digest = read_audit(audit), splits_digest(splits)
    folders = sorted(path.parent for path in search.glob("*/study.json"))
    if not folders:
        raise ResultsError(f"{search} holds no search: run `dvc repro` to make them")
    searches = [read_search(folder, values, audited, digest) for folder in folders]
    # Range tests train in this process; late, since TensorFlow takes 5 s to import.
    pin()
    with muted_stderr():
        from lr_ceiling.evidence import range_tests
        from lr_ceiling.mnist import engine

        engine.configure()
    runs = SEEDS * sum(len(points_of(one.study)) for one in searches)
    runs += FINDER_SEEDS * len(searches) * len(range_tests.FINDERS) * len(RATES)
    # What they share, whatever the arm.
    horizon, conditions = searches[0].template.horizon, conditions_of(searches[0].template)
    kept, store = 0, RunStore(state)
    arms: list[dict[str, Any]] = []
    with (
        step_progress("verify", runs * horizon) as progress,
        workers(values.workers.processes, lambda steps: progress.steps(kept + steps[""])) as runner,
    ):

        def run(specs: Sequence[RunSpec]) -> list[RunResult]:
            nonlocal kept
            kept += horizon * sum(store.find(spec) is not None for spec in specs)
            return run_all(specs, splits, store, runner)

        def write() -> None:
            # What is known so far, should this be stopped.
            write_json(output, {"conditions": conditions, "arms": arms})

        for study, posterior, template in searches:
            points = verify_points(study, posterior, template, run)
            arm = {"variant": study.variant, "activation": study.activation}
            arms.append({**arm, "points": points, "finders": []})
            write()
            progress.say(f"{study.variant}-{study.activation}: {points_in_words(points)}")
        for found, (_, posterior, template) in zip(arms, searches, strict=True):
            found["finders"] = verify_finders(posterior, template, splits, run)
            write()
    print_table("verified", POINT_COLUMNS, point_rows(arms))
    print_table("range tests", FINDER_COLUMNS, finder_rows(arms))


class Search(NamedTuple):
    """An arm's search as it was made, and the run that a fresh seed is, but for rate and seed."""

    study: Study
    posterior: Posterior
    template: RunSpec


def read_search(folder: Path, values: Params, audit: Audit, data_digest: str) -> Search:
    """Read a search of these params. Raises ResultsError for one of other params, data or audit."""
    study = read_study(folder / "study.json")
    trials = trials_of(values, study.variant, study.activation, audit, Path(), data_digest)
    aim = trials.aim
    if aim.key != study.key:
        raise ResultsError(f"{folder} is of other params, data or audit: run `dvc repro`")
    posterior = Ceiling(posterior_of(aim, read_runs(folder / "runs.json"))).posterior
    return Search(study, posterior, trials.template.model_copy(update={"ended_by": ()}))


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
    from lr_ceiling.evidence import range_tests

    found = []
    for finder in range_tests.FINDERS:
        said = range_tests.sweep(
            finder, template.variant, template.activation, template.optimizer, 0, splits
        )
        for name in RATES:
            rate = getattr(said, name)
            key = f"{finder.name} {name}"
            found.append(
                {
                    "name": key,
                    "learning_rate": rate,
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
