"""Search for the highest stable learning rate of one arm."""

from collections.abc import Mapping
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.early_calls import unused
from lr_ceiling.evidence.records import Conditions, Study
from lr_ceiling.evidence.study import journal_of, write_study
from lr_ceiling.execution.progress import SearchProgress
from lr_ceiling.execution.provenance import (
    is_logged,
    mark_logged,
    root,
    write_ended,
    write_study_facts,
)
from lr_ceiling.execution.runner import Ended
from lr_ceiling.find import find_ceiling
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.arms import problem_of, question_of
from lr_ceiling.pipeline.terminal import console, print_table, quiet_option, trial_in_words
from lr_ceiling.pipeline.workers import LaterImports, cluster, end_with_dvc
from lr_ceiling.report.schemas import AuditReport
from lr_ceiling.report.words import confirmed, in_short, in_words, interval, spent
from lr_ceiling.search.posterior import Observation


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option(
    "--audit", type=click.Path(path_type=Path), required=True, help="the audit of early calls"
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="folder of trials")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of journals")
@quiet_option
@one_line_errors
def main(
    splits: Path, variant: str, activation: str, audit: Path, output: Path, state: Path
) -> None:
    """Search one arm. A killed search continues where it was."""
    values = params.load()
    # Errors in the arguments are reported before the splits are read.
    question = question_of(values, variant, activation)
    digest = splits_digest(splits)
    rules = AuditReport.read(audit).rules
    problem = problem_of(values, variant, activation, rules, splits, digest)
    trials = problem.trials(question)
    if reason := unused(rules, Conditions.of(trials.template)):
        console.print(f"{output.name}: no trial is ended early, since {reason}", soft_wrap=True)
    end_with_dvc()
    later = ["lr_ceiling.tracking", "lr_ceiling.report.figures"]
    with cluster(splits) as elsewhere, LaterImports(later) as imports:
        progress = _Progress(output.name, imports)
        found = find_ceiling(
            problem,
            low=question.low,
            high=question.high,
            budget=question.budget,
            interval=question.interval_decades,
            confirmations=question.confirmations,
            usable=question.usable_runs,
            loss=question.usable_loss,
            seed=question.seed,
            lag=question.lag,
            executor=elsewhere and elsewhere[0],
            workers=None if elsewhere else values.workers.processes,
            storage=journal_of(state, output.name, trials),
            progress=progress,
        )
    runs = found.runs
    study = write_study(output, trials.aim, runs, found.parts)
    _print_study(output.name, study)
    write_study_facts(study.key, [run.spec.key for run in runs])
    logged = digest_of(study.key, len(runs))
    if progress.ran or not is_logged(logged):
        # Imported here because mlflow takes 2.4 s and matplotlib 0.5 s; started during the runs.
        from lr_ceiling import tracking
        from lr_ceiling.report.figures import draw_study

        files = [output / "trials.csv", draw_study(output, root() / "state" / "figures")]
        if tracking.mirror(
            lambda store: store.log_search(output.name, study.model_dump(), runs, files)
        ):
            mark_logged(logged)


class _Progress(SearchProgress):
    """Shows the search, and stores the times of its trials."""

    def __init__(self, arm: str, imports: LaterImports) -> None:
        super().__init__(arm, console, trial_in_words)
        self.ran = False
        self._imports = imports

    def steps(self, taken: Mapping[str, int]) -> None:
        """Show the steps, and start the imports that are needed later."""
        super().steps(taken)
        self._imports.on_steps(taken)

    def ended(self, index: int, ended: Ended, seen: Observation) -> None:
        """Show the trial, and store its times."""
        super().ended(index, ended, seen)
        self.ran = True
        write_ended(ended.result.spec.key, ended)


def _print_study(arm: str, study: Study) -> None:
    labels = ", ".join(f"{count} {label}" for label, count in study.labels.items())
    reason = {
        "interval": "the interval is narrow enough",
        "range": "lr90 lies at the end of the allowed range",
        "budget": "the budget is spent",
    }
    rows = [
        ("ceiling", in_words(study)),
        ("lr50", interval(study.lr50)),
        ("trials", f"{study.trials} ({labels})"),
        ("no accuracy lost up to", in_short(study.usable)),
        ("confirmed", confirmed(study.confirmed)),
        ("full runs spent", spent(study.spent)),
        ("edge search stopped, since", reason[study.stopped]),
    ]
    print_table(arm, ("search", "found"), rows)


if __name__ == "__main__":
    main()
