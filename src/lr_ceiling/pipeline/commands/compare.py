"""`lr-ceiling compare`: the call of the post, which trains both variants now, outside DVC."""

from pathlib import Path
from typing import get_args

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.execution.provenance import write_ended
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunSummary, write_runs
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import console, print_runs, quiet_option, step_progress
from lr_ceiling.pipeline.workers import workers


@click.command()
@click.option("--learning-rate", type=float, required=True)
@click.option("--activation", required=True, help="sigmoid, relu, tanh, ...")
@click.option("--epochs", type=int, help="default: training.epochs in params.yaml")
@click.option("--steps-per-epoch", type=int, help="default: training.steps_per_epoch")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--splits",
    type=click.Path(path_type=Path),
    default="data/splits.npz",
    show_default=True,
    help="written by `dvc repro validate`",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default="state/compare",
    show_default=True,
    help="folder of runs and figures",
)
@quiet_option
@one_line_errors
def main(
    learning_rate: float,
    activation: str,
    epochs: int | None,
    steps_per_epoch: int | None,
    seed: int,
    splits: Path,
    output: Path,
) -> None:
    """Train the baseline and the batch-norm network, and draw their curves."""
    values = params.load()
    asked = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    changes = {name: value for name, value in asked.items() if value is not None}
    digest = splits_digest(splits)
    specs = [
        RunSpec.of(
            values.training,
            variant=variant,
            activation=activation,
            learning_rate=learning_rate,
            seed=seed,
            data_digest=digest,
            **changes,
        )
        for variant in get_args(Variant)
    ]
    with (
        step_progress("compare", sum(spec.horizon for spec in specs)) as progress,
        workers(
            values.workers.processes,
            progress.of(""),
            ["lr_ceiling.tracking", "lr_ceiling.report.figures"],
        ) as runner,
    ):
        ended = runner.execute([TrainingTask(spec, splits, test=True) for spec in specs])
    runs = [one.result for one in ended]
    folder = output / f"{activation}-{learning_rate}-seed-{seed}"
    write_runs(folder / "runs.json", runs)
    print_runs("compare", runs)
    for run in filter(lags, runs):
        console.print(
            f"{run.spec.name}: its weights are sound, but batch norm's moving averages lag behind "
            "them, so the model as saved misses the target",
            soft_wrap=True,
        )
    for one in ended:
        write_ended(one.result.spec.key, one)
    # Imported here because mlflow takes 2.4 s and matplotlib 0.5 s; started during the runs.
    from lr_ceiling import tracking
    from lr_ceiling.report import figures

    title = f"{activation}, learning rate {learning_rate:g}, seed {seed}"
    pair = {run.spec.variant: [run] for run in runs}
    figures.save(figures.pair_of_curves(pair, title), folder / "curves")
    console.print(f"the curves: {folder / 'curves.png'}")
    tracking.mirror(lambda store: store.log_compare(runs))


def lags(run: RunSummary) -> bool:
    """Whether a run is stable by its weights, but not as saved."""
    return run.label == "stable" and run.validation_accuracy < run.spec.target_accuracy


if __name__ == "__main__":
    main()
