"""Search the highest stable learning rate of one arm."""

from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.records import Study
from lr_ceiling.evidence.study import (
    ArmTrials,
    journal_of,
    make_sampler,
    observation,
    posterior_of,
    write_study,
)
from lr_ceiling.execution.driver import opened
from lr_ceiling.execution.provenance import (
    is_logged,
    mark_logged,
    root,
    write_ended,
    write_study_facts,
)
from lr_ceiling.execution.runner import Ended, work
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import range_of, trials_of
from lr_ceiling.pipeline.terminal import (
    print_table,
    quiet_option,
    step_progress,
    trial_in_words,
)
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.report.schemas import AuditReport
from lr_ceiling.report.words import in_words, interval
from lr_ceiling.rounding import short
from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.search.posterior import Posterior


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--audit", type=click.Path(path_type=Path), required=True, help="of early decisions")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of trials")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of journals")
@quiet_option
@one_line_errors
def main(
    splits: Path, variant: str, activation: str, audit: Path, output: Path, state: Path
) -> None:
    """Search one arm; a search that was killed goes on where it was."""
    values = params.load()
    # What is wrong with the arguments is told before the splits are read.
    range_of(values, variant)
    digest = splits_digest(splits)
    rules = AuditReport.read(audit).rules
    trials = trials_of(values, variant, activation, rules, splits, digest)
    runs, made_ahead = search(output.name, trials, state, values.workers.processes)
    study = write_study(output, trials.aim, runs)
    _print_study(output.name, study)
    write_study_facts(study.key, [run.spec.key for run in runs])
    logged = digest_of(study.key, len(runs))
    if not (made_ahead and is_logged(logged)):
        # Late, since mlflow takes 2.4 s to import, matplotlib 0.5 s: begun while the runs trained.
        from lr_ceiling import tracking
        from lr_ceiling.report.figures import draw_study

        files = [output / "trials.csv", draw_study(output, root() / "state" / "figures")]
        if tracking.mirror(
            lambda store: store.log_search(output.name, study.model_dump(), runs, files)
        ):
            mark_logged(logged)


def search(
    arm: str, trials: ArmTrials, state: Path, processes: int | None
) -> tuple[list[RunResult], bool]:
    """Run the study of `arm`, new or interrupted.

    Returns its trials in order of index, and whether all of them were there already.
    """
    horizon = trials.template.horizon
    posterior = posterior_of(trials.aim, [])

    def on_ended(index: int, ended: Ended) -> None:
        nonlocal posterior
        posterior = posterior.after(observation(ended.result))
        progress.say(f"{arm} trial {index}: {trial_in_words(ended.result)}; {_edge(posterior)}")
        progress.stands(_so_far(posterior))
        write_ended(ended.result.spec.key, ended)

    journal = journal_of(state, arm, trials)
    with opened(journal, make_sampler(trials.aim), trials, on_ended) as driver:
        done = list(driver.results.values())
        spent = sum(run.steps for run in done)
        posterior = posterior_of(trials.aim, done)
        budget = int(trials.aim.budget * horizon)
        with (
            step_progress(arm, budget, taken=spent, may_end_early=True) as progress,
            workers(
                processes,
                progress.of(arm),
                ["lr_ceiling.tracking", "lr_ceiling.report.figures"],
            ) as runner,
        ):
            progress.stands(_so_far(posterior))
            work(runner, {arm: driver}, {})
        return driver.in_order, len(driver.results) == len(done)


def _edge(posterior: Posterior) -> str:
    edge = posterior.edge(TARGETS["lr90"])
    return f"lr90 between {short(10**edge.low, 3)} and {short(10**edge.high, 3)}"


def _so_far(posterior: Posterior) -> str:
    trials = len(posterior.observations)
    if not trials:
        return "no trial done yet"
    return f"{trials} trial{'s' * (trials > 1)} done, {_edge(posterior)}"


def _print_study(arm: str, study: Study) -> None:
    labels = ", ".join(f"{count} {label}" for label, count in study.labels.items())
    reason = {"interval": "the interval is narrow enough", "budget": "the budget is spent"}
    rows = [
        ("ceiling", in_words(study)),
        ("lr50", interval(study.lr50)),
        ("trials", f"{study.trials} ({labels})"),
        ("full runs spent", f"{study.full_run_equivalents:.2f}"),
        ("stopped, since", reason[study.stopped]),
    ]
    print_table(arm, ("search", "found"), rows)


if __name__ == "__main__":
    main()
