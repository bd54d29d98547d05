"""`lr-ceiling ceiling`: the answer in a line, from the report of the searches."""

from pathlib import Path

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.evidence.records import Study
from lr_ceiling.report.schemas import CeilingsReport
from lr_ceiling.report.words import in_words, interval


@click.command()
@click.option("--variant", help="baseline or batchnorm; default: all")
@click.option("--activation", help="relu, sigmoid, ...; default: all")
@click.option(
    "--ceilings",
    type=click.Path(dir_okay=False, path_type=Path),
    default="reports/ceilings.json",
    show_default=True,
    help="written by `dvc repro report`",
)
@one_line_errors
def main(variant: str | None, activation: str | None, ceilings: Path) -> None:
    """Print the highest stable learning rates of the arms asked for, a line each.

    lr90 is the highest learning rate at which a fresh seed is stable with probability 0.9.
    """
    arms = CeilingsReport.read(ceilings).arms
    asked = [
        arm
        for arm in arms
        if variant in (None, arm.variant) and activation in (None, arm.activation)
    ]
    if not asked:
        wanted = " ".join(filter(None, (variant, activation))) or "anything"
        known = ", ".join(f"{arm.variant} {arm.activation}" for arm in arms) or "nothing"
        raise ResultsError(f"{ceilings} has {known}, not {wanted}: ask for what it has, or search")
    for arm in asked:
        click.echo(describe(arm))


def describe(arm: Study) -> str:
    """One line on an arm."""
    return (
        f"{arm.variant} {arm.activation}: {in_words(arm)}; lr50 {interval(arm.lr50)}; "
        f"{arm.trials} trials, {arm.full_run_equivalents:.1f} full runs"
    )


if __name__ == "__main__":
    main()
