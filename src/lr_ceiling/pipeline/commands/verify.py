"""Verify the ceilings with fresh seeds to the full horizon, and compare LR range tests."""

from collections.abc import Iterable
from pathlib import Path

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.fresh_seeds import (
    Search,
    Suggestion,
    read_search,
    runs_to_verify,
    verify,
)
from lr_ceiling.evidence.runs import RunSource
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.evidence.verification import (
    FINDER_COLUMNS,
    POINT_COLUMNS,
    finder_rows,
    point_rows,
    points_in_words,
)
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import trials_of
from lr_ceiling.pipeline.one_writer import one_writer
from lr_ceiling.pipeline.terminal import print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.problems.environment import muted_stderr, pin
from lr_ceiling.report.schemas import AuditReport, VerificationReport

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--search", type=FOLDER, required=True, help="the arms' folders")
@click.option(
    "--audit", type=click.Path(path_type=Path), required=True, help="report of `lr-ceiling audit`"
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=FOLDER, required=True, help="folder of runs")
@one_line_errors
@one_writer
def main(splits: Path, search: Path, audit: Path, output: Path, state: Path) -> None:
    """Verify every arm, then try range tests. Runs that are kept in the state are not run again.

    Results in an existing report are reused if their conditions are the same.
    """
    values = params.load()
    rules, digest = AuditReport.read(audit).rules, splits_digest(splits)
    folders = sorted(path.parent for path in search.glob("*/study.json"))
    if not folders:
        raise ResultsError(f"{search} holds no search: run `dvc repro` to make them")
    searches = [
        read_search(
            folder,
            lambda of: trials_of(values, of.variant, of.activation, rules, splits, digest),
        )
        for folder in folders
    ]
    # Range tests train in this process. Imported here because TensorFlow takes 5 s to import.
    pin()
    with muted_stderr():
        from lr_ceiling.evidence import range_tests
        from lr_ceiling.mnist import engine

        engine.configure()

    def suggestions_of(one: Search) -> Iterable[Suggestion]:
        return range_tests.suggestions(one.template, splits)

    template = searches[0].template
    new = VerificationReport(conditions=conditions_of(template), arms=())
    report = known = new.resumed(output)

    def write() -> None:
        """Write the results so far, in case the command is stopped."""
        report.model_copy(update={"runs": source.tables}).write(output)

    runs = runs_to_verify(searches, len(range_tests.FINDERS) * len(range_tests.RATES), known.arms)
    with (
        step_progress("verify", runs * template.horizon) as progress,
        workers(
            values.workers.processes, lambda steps: progress.steps(source.spared + steps[""])
        ) as runner,
    ):
        source = RunSource(
            splits, RunStore(state), runner, known.runs, on_ended=lambda run: write()
        )
        for turn, arms in enumerate(verify(searches, suggestions_of, source.of, known.arms)):
            report = known.model_copy(update={"arms": arms})
            write()
            if turn < len(searches):
                arm = arms[turn]
                progress.say(f"{arm.variant}-{arm.activation}: {points_in_words(arm.points)}")
    print_table("verified", POINT_COLUMNS, point_rows(report.arms))
    print_table("range tests", FINDER_COLUMNS, finder_rows(report.arms))


if __name__ == "__main__":
    main()
