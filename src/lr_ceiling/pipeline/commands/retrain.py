"""`lr-ceiling retrain`: the scheduled retraining, as one command."""

import signal
import sys

import click

from lr_ceiling.errors import PipelineError, one_line_errors

# As `lr-ceiling promote` does.
REFUSED = 3


@click.command()
@click.option("--week", help="ISO week that the seeds follow from, such as 2026-W48; default: now")
@click.option(
    "--quick/--full",
    default=False,
    help="rehearse with 2 seeds and 2 runs a search, and put the results back; default: full",
)
@click.option("--seeds", type=click.IntRange(1, 64), help="seeds a cell; default: as many as now")
@click.option("--force", is_flag=True, help="train also what DVC has trained with these seeds")
@click.option("--fail-on-refusal", is_flag=True, help=f"exit with {REFUSED} if it is refused")
@one_line_errors
def main(
    week: str | None, quick: bool, seeds: int | None, force: bool, fail_on_refusal: bool
) -> None:
    """Validate the data anew, retrain with the week's seeds, promote what has earned it.

    The outcome is in state/retrain.json, for people in state/retrain.md.
    """
    # Late, since mlflow takes 2 s to import.
    from lr_ceiling.live import retraining
    from lr_ceiling.live.predictor import Predictor

    plan = retraining.Plan(
        week=retraining.check_week(week) if week is not None else retraining.this_week(),
        quick=quick,
        seeds=seeds,
        force=force,
    )
    # A stopped service puts its files back, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Predictor() as predictor:
        outcome = retraining.retrain(plan, predictor)
    if outcome.failed:
        raise PipelineError(f"{outcome.outcome}: {outcome.reason}; the champion stays")
    click.echo(retraining.summary(outcome))
    if fail_on_refusal and outcome.outcome == "refused":
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
