"""`lr-ceiling ceiling`: prints the ceilings in the report of the searches."""

from pathlib import Path

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.evidence.records import ArmCeilings, Ratio, network
from lr_ceiling.pipeline.terminal import print_table
from lr_ceiling.report.schemas import CeilingsReport
from lr_ceiling.report.words import (
    in_times,
    lr90_times,
    no_accuracy_lost_up_to,
    points,
    trains_up_to,
)

COLUMNS = ("network", "no accuracy lost up to", "trains up to")
LEGEND = """\
Trains up to: at this learning rate nine fresh seeds in ten still learn (lr90).
No accuracy lost up to: at this one a typical seed ends within {loss} of the
best accuracy of its network. In brackets: 95% intervals, by all runs."""


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
    """Print the highest learning rates at which each network trains, with 95% intervals."""
    report = CeilingsReport.read(ceilings)
    arms = report.arms
    asked = [
        arm
        for arm in arms
        if variant in (None, arm.variant) and activation in (None, arm.activation)
    ]
    if not asked:
        wanted = " ".join(filter(None, (variant, activation))) or "anything"
        known = ", ".join(f"{arm.variant} {arm.activation}" for arm in arms) or "nothing"
        raise ResultsError(f"{ceilings} has {known}, not {wanted}: ask for what it has, or search")
    print_table("how far the learning rate can be turned up", COLUMNS, map(row, asked))
    for ratio in report.ratios:
        if [arm.activation for arm in asked].count(ratio.activation) > 1:
            click.echo(in_times_of(ratio))
    losses = sorted({arm.usable.loss for arm in asked if arm.usable.loss is not None})
    click.echo(LEGEND.format(loss=" or ".join(map(points, losses)) or "the loss allowed"))


def row(arm: ArmCeilings) -> tuple[str, str, str]:
    """An arm as a row under COLUMNS."""
    return network(arm), no_accuracy_lost_up_to(arm), trains_up_to(arm)


def in_times_of(ratio: Ratio) -> str:
    """The ratio of batch norm's learning rates to the baseline's.

    Where no ceiling was found, the highest tried rate would set the ratio of lr90.
    """
    known = {
        "no accuracy lost up to": ratio.usable and in_times(ratio.usable),
        "trains up to": ratio.lr90.estimate and lr90_times(ratio),
    }
    told = [f"{what} {times or 'not bounded from above'}" for what, times in known.items()]
    return f"{ratio.activation}, batch norm's over the baseline's: {'; '.join(told)}"


if __name__ == "__main__":
    main()
