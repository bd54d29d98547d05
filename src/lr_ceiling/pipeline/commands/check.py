"""`lr-ceiling check`: whether anything that is kept is damaged, and what makes it again."""

from collections.abc import Callable
from functools import partial

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.integrity.part import Part


@click.command()
@one_line_errors
def main() -> None:
    """Hold every result, model, journal, lock and the store against their digests.

    Nothing is changed but the paths of a store that was moved. What is damaged or missing is told
    with the command that makes it again, and ends with exit code 1.
    """
    name = params.load().promote.model
    # Late, since mlflow takes 2.4 s to import.
    from lr_ceiling.pipeline.integrity.outputs import check_cache, check_outputs
    from lr_ceiling.pipeline.integrity.results import check_reports, check_runs
    from lr_ceiling.pipeline.integrity.state import check_journals, check_kept_runs, check_locks
    from lr_ceiling.pipeline.integrity.store import check_store

    checks: list[Callable[[], Part]] = [
        *(check_outputs, check_cache, check_reports, check_runs),
        *(check_kept_runs, check_journals, check_locks, partial(check_store, name)),
    ]
    seen = faults = 0
    for check in checks:
        part = check()
        seen, faults = seen + part.seen, faults + len(part.faults)
        state = f"{len(part.faults)} damaged or missing" if part.faults else "sound"
        click.echo(f"{part.name}: {part.seen} looked at, {state}")
        for line in (*part.faults, *part.notes):
            click.echo(f"  {line}")
    if faults:
        raise ResultsError(f"{faults} things of {seen} are damaged or missing: see above")
    click.echo(f"all {seen} are as they were made")


if __name__ == "__main__":
    main()
