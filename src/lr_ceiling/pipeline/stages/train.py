"""Train one cell of the grid, several seeds side by side.

A training that dies or diverges is a result, not an error.
"""

from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.cell import Cell, copy_models
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.provenance import is_logged, mark_logged, write_ended
from lr_ceiling.execution.runner import work
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.params import Params
from lr_ceiling.pipeline.terminal import print_runs, quiet_option, step_progress
from lr_ceiling.pipeline.workers import workers


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--learning-rate", type=float, required=True)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of the runs")
@click.option("--models", type=click.Path(path_type=Path), required=True, help="folder of models")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of all runs")
@quiet_option
@one_line_errors
def main(
    splits: Path,
    variant: str,
    activation: str,
    learning_rate: float,
    output: Path,
    models: Path,
    state: Path,
) -> None:
    """Train one cell: a network at one learning rate, one run per seed."""
    values = params.load()
    digest = splits_digest(splits)
    specs = RunSpec.of_each(
        values.training,
        values.train.seeds,
        variant=variant,
        activation=activation,
        learning_rate=learning_rate,
        data_digest=digest,
    )
    store = RunStore(state)
    cell = Cell(specs, splits, store, lambda ended: write_ended(ended.result.spec.key, ended))
    made_ahead = not cell.missing
    if not made_ahead:
        train(output.name, cell, values, splits, digest, store, state)
    copy_models(cell.runs, store, models)
    write_runs(output / "runs.json", cell.runs)
    print_runs(output.name, cell.runs)
    if not (made_ahead and is_logged(cell.key)):
        # Imported here because mlflow takes 2.4 s to import; started during the runs.
        from lr_ceiling import tracking

        if tracking.mirror(lambda store: store.log_train(output.name, cell.runs, models)):
            mark_logged(cell.key)


def train(
    name: str,
    cell: Cell,
    values: Params,
    splits: Path,
    digest: str,
    store: RunStore,
    state: Path,
) -> None:
    """Train the missing runs of a cell, and use idle cores for runs of later stages.

    `store` lies in the folder `state`, which holds the networks of runs.
    """
    # Imported here because it imports modules that training does not need.
    from lr_ceiling.pipeline import ahead

    steps = values.training.epochs * values.training.steps_per_epoch * cell.missing
    with (
        step_progress(name, steps) as progress,
        ahead.work_ahead(values, splits, digest, store, name, progress.say) as others,
        workers(
            values.workers.processes,
            progress.of(name),
            ["lr_ceiling.tracking"],
            splits,
            state,
        ) as runner,
    ):
        progress.expect(others.steps)
        work(runner, {name: cell, **others.own}, others.spare)


if __name__ == "__main__":
    main()
