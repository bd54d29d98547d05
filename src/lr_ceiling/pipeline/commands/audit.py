"""Audit the judge: continue runs that it would have ended, and count those that became stable."""

from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.audit import (
    AUDIT_COLUMNS,
    GROUNDS,
    LOOKS,
    NEEDED,
    NEEDED_SUCCESSES,
    audit_all,
    audit_rows,
    in_words,
)
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.runs import RunSource
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.one_writer import one_writer
from lr_ceiling.pipeline.terminal import print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.report.schemas import AuditReport


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of runs")
@one_line_errors
@one_writer
def main(splits: Path, output: Path, state: Path) -> None:
    """Audit the early calls. A stopped audit continues from its report and the stored runs."""
    values = params.load()
    template = RunSpec.of(
        values.training,
        variant="baseline",
        activation="relu",
        learning_rate=1.0,
        seed=0,
        data_digest=splits_digest(splits),
    )
    new = AuditReport(conditions=conditions_of(template), horizon_steps=template.horizon, rules=())
    report = known = new.resumed(output)

    def write() -> None:
        """Write the results so far, in case the command is stopped."""
        report.model_copy(update={"runs": source.tables}).write(output)

    def on_ended(run: RunResult) -> None:
        progress.say(in_words(run))
        write()

    total = len(GROUNDS) * (LOOKS + NEEDED + NEEDED_SUCCESSES) * template.horizon
    with (
        step_progress("audit", total) as progress,
        workers(
            values.workers.processes, lambda steps: progress.steps(source.spared + steps[""])
        ) as runner,
    ):
        source = RunSource(splits, RunStore(state), runner, known.runs, on_ended=on_ended)
        for rules in audit_all(template, source.of, known.rules):
            report = known.model_copy(update={"rules": rules})
            write()
    print_table("audit", AUDIT_COLUMNS, audit_rows(report.rules))


if __name__ == "__main__":
    main()
