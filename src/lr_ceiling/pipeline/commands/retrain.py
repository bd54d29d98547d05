"""`lr-ceiling retrain`: the scheduled retraining, as one command."""

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lr_ceiling.errors import PipelineError, one_line_errors
from lr_ceiling.pipeline import params

if TYPE_CHECKING:
    from lr_ceiling.live.retraining import Settings

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
    from lr_ceiling.live.outcome import summary
    from lr_ceiling.live.predictor import Predictor
    from lr_ceiling.live.retraining import Plan, retrain
    from lr_ceiling.live.seeds import check_week, this_week

    plan = Plan(
        week=check_week(week) if week is not None else this_week(),
        quick=quick,
        seeds=seeds,
        force=force,
    )
    # A stopped service puts its files back, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Predictor() as predictor:
        outcome = retrain(plan, predictor, load)
    if outcome.failed:
        raise PipelineError(f"{outcome.outcome}: {outcome.reason}; the champion stays")
    click.echo(summary(outcome))
    if fail_on_refusal and outcome.outcome == "refused":
        sys.exit(REFUSED)


def load(path: Path) -> "Settings":
    """What a retraining needs of a params file. Raises ParamsError as the pipeline does."""
    from lr_ceiling.live.gate import Terms
    from lr_ceiling.live.retraining import Settings

    values = params.load(path)
    return Settings(len(values.train.seeds), Terms(**values.promote.model_dump()))


if __name__ == "__main__":
    main()
