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

# The same as in `lr-ceiling promote`.
REFUSED = 3


@click.command()
@click.option("--week", help="ISO week that determines the seeds, such as 2026-W48; default: now")
@click.option(
    "--quick/--full",
    default=False,
    help="rehearse with 2 seeds and 2 runs per search, then restore the results; default: full",
)
@click.option("--seeds", type=click.IntRange(1, 64), help="seeds per cell; default: present number")
@click.option("--force", is_flag=True, help="train again, even if DVC has these seeds' results")
@click.option("--fail-on-refusal", is_flag=True, help=f"exit with {REFUSED} if it is refused")
@one_line_errors
def main(
    week: str | None, quick: bool, seeds: int | None, force: bool, fail_on_refusal: bool
) -> None:
    """Validate the data again, retrain with the week's seeds, and promote the best model.

    The outcome is written to state/retrain.json and, for people, to state/retrain.md.
    """
    # Imported here because mlflow takes 2 s to import.
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
    # A stopped service restores its files, like after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Predictor() as predictor:
        outcome = retrain(plan, predictor, load)
    if outcome.failed:
        raise PipelineError(f"{outcome.outcome}: {outcome.reason}; the champion stays")
    click.echo(summary(outcome))
    if fail_on_refusal and outcome.outcome == "refused":
        sys.exit(REFUSED)


def load(path: Path) -> "Settings":
    """A retraining's settings from a params file. Raises ParamsError like the pipeline."""
    from lr_ceiling.live.gate import Terms
    from lr_ceiling.live.retraining import Settings

    values = params.load(path)
    return Settings(len(values.train.seeds), Terms(**values.promote.model_dump()))


if __name__ == "__main__":
    main()
