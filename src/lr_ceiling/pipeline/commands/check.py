"""`lr-ceiling check`: finds damaged results, and names the commands that restore them."""

from collections.abc import Callable
from functools import partial

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.integrity.part import Part


@click.command()
@one_line_errors
def main() -> None:
    """Check all results, models, journals, locks and the store for damage.

    Prints each damaged or missing thing with the command that restores it, and then exits with code
    1. Changes only the paths in a store that was moved.
    """
    name = params.load().promote.model
    # Imported here because mlflow takes 2.4 s to import.
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
