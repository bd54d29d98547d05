"""Search the highest stable learning rate of one arm."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd
from optuna.samplers import TPESampler

from lr_ceiling import params
from lr_ceiling.dataset import splits_digest
from lr_ceiling.errors import ParamsError, one_line_errors
from lr_ceiling.facts import write_ended, write_study_facts
from lr_ceiling.params import Search
from lr_ceiling.runs import (
    RunResult,
    RunSpec,
    Study,
    derived_seed,
    digest_of,
    write_json,
    write_runs,
    write_text,
)
from lr_ceiling.sampler import LaggedSampler
from lr_ceiling.study import Plan, code_digest, drive, finished, open_study
from lr_ceiling.terminal import print_table, step_progress
from lr_ceiling.workers import Ended, Workers


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of trials")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of journals")
@one_line_errors
def main(splits: Path, variant: str, activation: str, output: Path, state: Path) -> None:
    """Search one arm; a search that was killed goes on where it was."""
    values = params.load()
    if variant not in values.search.range:
        known = ", ".join(values.search.range)
        raise ParamsError(f"--variant is {variant!r}: search.range has {known}")
    bounds = values.search.range[variant]
    template = RunSpec.of(
        values.training,
        variant=variant,
        activation=activation,
        learning_rate=bounds.low,
        seed=values.search.seed,
        early_stop=True,
        data_digest=splits_digest(splits),
    )
    plan = make_plan(template, values.search)
    journal = state / f"{output.name}-{digest_of(plan.key, code_digest())}.journal"
    runs = search(output.name, plan, splits, journal, values.workers.processes)
    study = summarise_trials(plan.key, runs)
    write_runs(output / "runs.json", runs)
    write_trials(output / "trials.csv", runs)
    write_json(output / "study.json", study.model_dump())
    _print_study(output.name, study)
    write_study_facts(plan.key, runs)
    # Late, since mlflow takes 1.5 s to import.
    from lr_ceiling import tracking

    tracking.mirror(lambda store: store.log_search(output.name, study.model_dump(), runs))


def make_plan(template: RunSpec, search: Search) -> Plan:
    """The plan of the study of `template`'s arm.

    Each trial has initial weights and batches of its own. The budget is no part of the key, so
    that a larger one goes on where a smaller one ended.
    """
    bounds = search.range[template.variant]
    key = digest_of(template.model_dump(), search.lag, bounds.model_dump())

    def spec(index: int, learning_rate: float) -> RunSpec:
        seed = derived_seed(key, "run", index)
        return template.model_copy(update={"learning_rate": learning_rate, "seed": seed})

    budget = int(search.budget_runs * template.horizon)
    return Plan(key, bounds.low, bounds.high, search.lag, budget, template.horizon, spec)


def search(
    arm: str, plan: Plan, splits: Path, journal: Path, processes: int | None
) -> list[RunResult]:
    """Run the study of `arm`, new or interrupted; returns its trials in order of index."""
    # A stock sampler chooses the points: it is drawn to the luckiest seed and knows no interval.
    sampler = LaggedSampler(lambda seed: TPESampler(seed=seed), plan.key, plan.lag)
    with (
        open_study(journal, sampler) as study,
        step_progress(arm, plan.budget) as progress,
    ):
        spent = sum(run.steps for run in finished(study).values())

        def on_ended(index: int, ended: Ended) -> None:
            run = ended.result
            progress.say(f"{arm} trial {index}: lr {run.spec.learning_rate:.4g} is {run.label}")
            write_ended([ended])

        with Workers(processes, lambda steps: progress.steps(spent + steps)) as workers:
            return drive(study, plan, workers, splits, on_ended)


def summarise_trials(key: str, runs: Sequence[RunResult]) -> Study:
    """What the trials of the study `key` found."""
    stable = [run.spec.learning_rate for run in runs if run.label == "stable"]
    steps = sum(run.steps for run in runs)
    spec = runs[0].spec
    return Study(
        variant=spec.variant,
        activation=spec.activation,
        optimizer=spec.optimizer,
        target=spec.target_accuracy,
        horizon_steps=spec.horizon,
        key=key,
        highest_stable=max(stable, default=None),
        stopped="budget",
        trials=len(runs),
        labels=dict(sorted(Counter(run.label for run in runs).items())),
        called_early=sum(run.called is not None for run in runs),
        steps_spent=steps,
        full_run_equivalents=round(steps / spec.horizon, 3),
    )


def write_trials(path: Path, runs: Sequence[RunResult]) -> None:
    """Write the trial table, a row a trial in order of index."""
    rows = [
        {
            "index": index,
            "learning_rate": run.spec.learning_rate,
            "seed": run.spec.seed,
            "label": run.label,
            "called": run.called,
            "called_at": run.called_at,
            "steps": run.steps,
            "validation_accuracy": run.validation_accuracy,
        }
        for index, run in enumerate(runs)
    ]
    frame = pd.DataFrame(rows).astype({"called_at": "Int64"})
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _print_study(arm: str, study: Study) -> None:
    labels = ", ".join(f"{count} {label}" for label, count in study.labels.items())
    highest = "none" if study.highest_stable is None else f"{study.highest_stable:.4g}"
    rows = [
        ("highest stable learning rate seen", highest),
        ("trials", f"{study.trials} ({labels})"),
        ("full runs spent", f"{study.full_run_equivalents:.2f}"),
    ]
    print_table(arm, ("search", "found"), rows)


if __name__ == "__main__":
    main()
