"""Train one cell of the grid, several seeds side by side.

A training that dies or diverges is a result, not an error.
"""

from pathlib import Path

import click

from lr_ceiling import params
from lr_ceiling.dataset import splits_digest
from lr_ceiling.errors import one_line_errors
from lr_ceiling.facts import write_ended
from lr_ceiling.runs import RunSpec, write_runs
from lr_ceiling.terminal import print_runs, quiet_option, step_progress
from lr_ceiling.workers import Task, Workers


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--learning-rate", type=float, required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of the runs")
@click.option("--models", type=click.Path(path_type=Path), required=True, help="folder of models")
@quiet_option
@one_line_errors
def main(
    splits: Path, variant: str, activation: str, learning_rate: float, output: Path, models: Path
) -> None:
    """Train one cell: a network at a learning rate, once a seed."""
    values = params.load()
    digest = splits_digest(splits)
    specs = [
        RunSpec.of(
            values.training,
            variant=variant,
            activation=activation,
            learning_rate=learning_rate,
            seed=seed,
            data_digest=digest,
        )
        for seed in values.train.seeds
    ]
    tasks = [Task(spec, splits, models / f"seed-{spec.seed}.keras", test=True) for spec in specs]
    with (
        step_progress(output.name, sum(spec.horizon for spec in specs)) as progress,
        Workers(values.workers.processes, progress.steps, ["lr_ceiling.tracking"]) as workers,
    ):
        ended = workers.execute(tasks)
    runs = [one.result for one in ended]
    write_runs(output / "runs.json", runs)
    print_runs(output.name, runs)
    write_ended(ended)
    # Late, since mlflow takes 2.4 s to import: begun while the runs trained.
    from lr_ceiling import tracking

    tracking.mirror(lambda store: store.log_train(output.name, runs, models))


if __name__ == "__main__":
    main()
