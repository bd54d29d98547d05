"""`lr-ceiling promote`: make the best new model live, if it passes the gate."""

import sys
from typing import TYPE_CHECKING

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import print_table

if TYPE_CHECKING:
    from lr_ceiling.live.gate import Decision, Entrant

# Exit code 1 means an error, 2 wrong usage.
REFUSED = 3


@click.command()
@click.option("--fail-on-refusal", is_flag=True, help=f"exit with {REFUSED} if it is refused")
@click.option(
    "--without-champion",
    is_flag=True,
    help="judge the challenger alone if the champion can't be loaded any more",
)
@one_line_errors
def main(fail_on_refusal: bool, without_champion: bool) -> None:
    """Compare the best model of `dvc repro` with the champion on the gate images.

    A refusal is a result: it is written to state/promotion.json, and the exit code is 0.
    """
    asked = params.load().promote
    # Imported here because mlflow takes 2 s to import.
    from lr_ceiling.live import gate
    from lr_ceiling.live.predictor import Predictor

    terms = gate.Terms(**asked.model_dump())
    with Predictor() as predictor:
        decision = gate.promote(terms, predictor, without_champion=without_champion)
    show(decision)
    if fail_on_refusal and decision.decision == "refused":
        sys.exit(REFUSED)


def show(decision: "Decision") -> None:
    """Print the checks, the measurements, and the live version."""
    for check in decision.checks:
        click.echo(f"{'passed' if check.passed else 'FAILED'}  {check.name}: {check.detail}")
    entrants = {"challenger": decision.challenger, "champion": decision.champion}
    measured = [
        (f"{role}, version {entrant.version}", *figures(entrant))
        for role, entrant in entrants.items()
        if entrant and entrant.measured
    ]
    header = ("model", "accuracy %", "worst class %", "calibration error", "bytes", "ms an image")
    if measured:
        print_table(f"on {decision.gate_images} gate images", header, measured)
    if decision.paired:
        paired = decision.paired
        click.echo(
            f"right in the challenger alone: {paired.challenger_only_right}, in the champion "
            f"alone: {paired.champion_only_right}; exact McNemar p = {paired.p_value:.3g}"
        )
    live = "no version" if decision.live is None else f"version {decision.live}"
    of = f" of {decision.model} in {decision.registry}" if decision.registry else ""
    click.echo(f"{decision.decision}: {decision.reason}. Live: {live}{of}")


def figures(entrant: "Entrant") -> tuple[str, ...]:
    """The measurements of a model, as the cells of a table row."""
    measured = entrant.measured
    assert measured
    worst = measured.worst_class
    return (
        f"{100 * measured.accuracy.estimate:.2f}",
        f"{100 * worst.recall:.2f} ({worst.digit})",
        f"{measured.calibration_error:.4f}",
        entrant.origin.get("bytes", "-"),
        f"{entrant.latency_ms:.1f}",
    )


if __name__ == "__main__":
    main()
