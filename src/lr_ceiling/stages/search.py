"""Search the highest stable learning rate of one arm."""

from pathlib import Path

import click

from lr_ceiling import params
from lr_ceiling.ceiling import TARGETS, in_words, interval
from lr_ceiling.dataset import splits_digest
from lr_ceiling.digits import short
from lr_ceiling.errors import ParamsError, one_line_errors
from lr_ceiling.facts import root, write_ended, write_study_facts
from lr_ceiling.plan import (
    calls_of,
    make_plan,
    make_sampler,
    posterior_of,
    template_of,
    write_study,
)
from lr_ceiling.posterior import Posterior
from lr_ceiling.runs import RunResult, Study, digest_of, read_audit
from lr_ceiling.study import Plan, drive, finished, observation, open_study, search_digest
from lr_ceiling.terminal import print_table, quiet_option, step_progress
from lr_ceiling.workers import Ended, Workers


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
    if variant not in values.search.range:
        known = ", ".join(values.search.range)
        raise ParamsError(f"--variant is {variant!r}: search.range has {known}")
    audited = read_audit(audit)
    digest = splits_digest(splits)
    template = template_of(values.training, values.search, variant, activation, audited, digest)
    plan = make_plan(template, values.search, calls_of(audited))
    journal = state / f"{output.name}-{digest_of(plan.aim.key, search_digest())}.journal"
    runs = search(output.name, plan, template.horizon, splits, journal, values.workers.processes)
    study = write_study(output, plan.aim, runs)
    _print_study(output.name, study)
    write_study_facts(plan.aim.key, runs)
    # Late, since mlflow takes 2.4 s to import, matplotlib 0.5 s: begun while the runs trained.
    from lr_ceiling import figures, tracking

    tracking.mirror(
        lambda store: store.log_search(
            output.name,
            study.model_dump(),
            runs,
            [output / "trials.csv", figures.draw_study(output, root() / "state" / "figures")],
        )
    )


def search(
    arm: str, plan: Plan, horizon: int, splits: Path, journal: Path, processes: int | None
) -> list[RunResult]:
    """Run the study of `arm`, new or interrupted; returns its trials in order of index."""
    with open_study(journal, make_sampler(plan.aim)) as study:
        done = finished(study).values()
        spent = sum(run.steps for run in done)
        posterior = posterior_of(plan.aim, list(done))
        budget = int(plan.aim.budget * horizon)
        with step_progress(arm, budget, taken=spent, may_end_early=True) as progress:

            def on_ended(index: int, ended: Ended) -> None:
                nonlocal posterior
                posterior = posterior.after(observation(ended.result))
                progress.say(f"{arm} trial {index}: {_in_short(ended.result)}; {_edge(posterior)}")
                progress.stands(_so_far(posterior))
                write_ended([ended])

            progress.stands(_so_far(posterior))
            with Workers(
                processes,
                lambda steps: progress.steps(spent + steps),
                ["lr_ceiling.tracking", "lr_ceiling.figures"],
            ) as workers:
                return drive(study, plan, workers, splits, on_ended)


def _in_short(run: RunResult) -> str:
    return f"lr {short(run.spec.learning_rate, 4)} is {run.label} after {run.steps:,} steps"


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
