"""Test the claims of the post that need additional runs."""

from itertools import product
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.claims import subject_of
from lr_ceiling.evidence.more_runs import RATES, ClaimTests, KnownClaims, in_words
from lr_ceiling.evidence.runs import RunSource
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.one_writer import one_writer
from lr_ceiling.pipeline.terminal import print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.report.schemas import ClaimsReport
from lr_ceiling.report.words import CLAIM_COLUMNS, claim_row

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--train", type=FOLDER, required=True, help="the cells' folders")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=FOLDER, required=True, help="folder of runs")
@one_line_errors
@one_writer
def main(splits: Path, train: Path, output: Path, state: Path) -> None:
    """Test the claims that need more runs. Results in the report or the state are not run again."""
    values = params.load()
    template = RunSpec.of(
        values.training,
        variant="baseline",
        activation="relu",
        learning_rate=RATES[0],
        seed=0,
        data_digest=splits_digest(splits),
    )
    grid = values.grid
    cells = list(product(grid.variants, grid.activations, grid.learning_rates))
    tests = ClaimTests(template, cells, values.train.seeds)
    trained = [run for path in sorted(train.glob("*/runs.json")) for run in read_runs(path)]
    report = known = ClaimsReport(subject=subject_of(template, grid)).resumed(output)

    def write() -> None:
        """Write the results so far, in case the command is stopped."""
        report.model_copy(update={"runs": source.tables}).write(output)

    def on_ended(run: RunResult) -> None:
        progress.say(in_words(run))
        write()

    with (
        step_progress("claims", tests.runs * template.horizon) as progress,
        workers(
            values.workers.processes, lambda steps: progress.steps(source.spared + steps[""])
        ) as runner,
    ):
        source = RunSource(splits, RunStore(state), runner, known.runs, trained, on_ended)
        before = KnownClaims(known.claims, known.grid, known.cells, known.initialisation)
        for found in tests.run(source, before):
            report = known.model_copy(update=vars(found))
            write()
    # The joint verdict needs all claims, so it belongs to the report.
    print_table("claims", CLAIM_COLUMNS[:-1], [claim_row(claim)[:-1] for claim in report.claims])


if __name__ == "__main__":
    main()
