"""Search the highest stable learning rate of one arm."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import pandas as pd

from lr_ceiling import params
from lr_ceiling.ceiling import TARGETS, Ceiling, in_words, interval
from lr_ceiling.course import Aim
from lr_ceiling.dataset import splits_digest
from lr_ceiling.errors import ParamsError, one_line_errors
from lr_ceiling.facts import root, write_ended, write_study_facts
from lr_ceiling.params import Search
from lr_ceiling.posterior import Calls, Posterior, curves
from lr_ceiling.runs import (
    AuditedRule,
    EarlyDecisions,
    Label,
    RunResult,
    RunSpec,
    Study,
    derived_seed,
    digest_of,
    read_audit,
    write_json,
    write_runs,
    write_text,
)
from lr_ceiling.sampler import CeilingSampler
from lr_ceiling.study import Plan, drive, finished, observation, open_study, search_digest
from lr_ceiling.terminal import print_table, quiet_option, step_progress
from lr_ceiling.workers import Ended, Workers

# One trial in so many is not ended early.
AUDITED = 8


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
    bounds = values.search.range[variant]
    rules = read_audit(audit).rules
    template = RunSpec.of(
        values.training,
        variant=variant,
        activation=activation,
        learning_rate=bounds.low,
        seed=values.search.seed,
        ended_by=qualified(rules),
        data_digest=splits_digest(splits),
    )
    calls = Calls(sum(rule.audited for rule in rules), sum(rule.wrong for rule in rules))
    plan = make_plan(template, values.search, calls)
    journal = state / f"{output.name}-{digest_of(plan.aim.key, search_digest())}.journal"
    runs = search(output.name, plan, template.horizon, splits, journal, values.workers.processes)
    ceiling = ceiling_of(plan.aim, runs)
    study = summarise(plan.aim, runs, ceiling)
    write_runs(output / "runs.json", runs)
    write_trials(output / "trials.csv", runs)
    write_json(output / "posterior.json", ceiling.belief().model_dump())
    write_json(output / "study.json", study.model_dump())
    _print_study(output.name, study)
    write_study_facts(plan.aim.key, runs)
    # Late, since mlflow takes 1.5 s to import, matplotlib 0.5 s.
    from lr_ceiling import figures, tracking

    tracking.mirror(
        lambda store: store.log_search(
            output.name,
            study.model_dump(),
            runs,
            [output / "trials.csv", figures.draw_study(output, root() / "state" / "figures")],
        )
    )


def make_plan(template: RunSpec, search: Search, calls: Calls) -> Plan:
    """The plan of the study of `template`'s arm.

    Each trial has initial weights and batches of its own; one in eight is not ended early, so that
    wrong calls show. The budget is no part of the key, so that a larger one goes on where a smaller
    one ended.
    """
    bounds = search.range[template.variant]
    key = digest_of(
        template.model_dump(), search.lag, search.interval_decades, bounds.model_dump(), calls
    )

    def spec(index: int, learning_rate: float) -> RunSpec:
        changes: dict[str, object] = {
            "learning_rate": learning_rate,
            "seed": derived_seed(key, "run", index),
        }
        if derived_seed(key, "audit", index) % AUDITED == 0:
            changes["ended_by"] = ()
        return template.model_copy(update=changes)

    aim = Aim(
        key=key,
        low=bounds.low,
        high=bounds.high,
        interval_decades=search.interval_decades,
        budget=search.budget(f"{template.variant}-{template.activation}"),
        lag=search.lag,
        calls=calls,
    )
    return Plan(aim, spec)


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
            with Workers(processes, lambda steps: progress.steps(spent + steps)) as workers:
                return drive(study, plan, workers, splits, on_ended)


def make_sampler(aim: Aim) -> CeilingSampler:
    """The sampler of the study."""
    return CeilingSampler(aim.key, aim.lag, (aim.low, aim.high), aim.calls)


def posterior_of(aim: Aim, runs: Sequence[RunResult]) -> Posterior:
    """The posterior of these trials."""
    return Posterior(curves(aim.bounds), list(map(observation, runs)), aim.calls)


def ceiling_of(aim: Aim, runs: Sequence[RunResult]) -> Ceiling:
    """What these trials say of the ceiling."""
    return Ceiling(posterior_of(aim, runs))


def summarise(aim: Aim, runs: Sequence[RunResult], ceiling: Ceiling) -> Study:
    """What the trials of this aim found."""
    stable = [run.spec.learning_rate for run in runs if run.label == "stable"]
    steps = sum(run.steps for run in runs)
    audited = [run for run in runs if run.called and run.steps == run.spec.horizon]
    spec = runs[0].spec
    return Study(
        variant=spec.variant,
        activation=spec.activation,
        optimizer=spec.optimizer,
        target=spec.target_accuracy,
        horizon_steps=spec.horizon,
        key=aim.key,
        lr50=ceiling.estimate(TARGETS["lr50"]),
        lr90=ceiling.estimate(TARGETS["lr90"]),
        transition_decades=round(ceiling.posterior.width(), 4),
        bounded=ceiling.bounds_of(TARGETS["lr90"]),
        highest_stable=max(stable, default=None),
        stopped="interval" if ceiling.settled(aim.interval_decades) else "budget",
        trials=len(runs),
        labels=dict(sorted(Counter(run.label for run in runs).items())),
        steps_spent=steps,
        full_run_equivalents=round(steps / spec.horizon, 3),
        early_decisions=EarlyDecisions(
            made=sum(run.steps < run.spec.horizon for run in runs),
            audited=len(audited),
            wrong=sum(run.label == "stable" for run in audited),
        ),
        checks=ceiling.checks(),
    )


def qualified(rules: Sequence[AuditedRule]) -> tuple[Label, ...]:
    """The rules that may end a trial: an audit found them wrong in less than one call of twenty."""
    return tuple(rule.rule for rule in rules if rule.wrong_share_below < 0.05)


def write_trials(path: Path, runs: Sequence[RunResult]) -> None:
    """Write the trial table, a row a trial in order of index."""
    rows = [
        {
            "index": index,
            "learning_rate": run.spec.learning_rate,
            "seed": run.spec.seed,
            "label": run.label,
            "called": run.called,
            "called_at": run.called_at,
            "steps": run.steps,
            "validation_accuracy": run.validation_accuracy,
            "reestimated_accuracy": run.reestimated_accuracy,
        }
        for index, run in enumerate(runs)
    ]
    frame = pd.DataFrame(rows).astype({"called_at": "Int64"})
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _in_short(run: RunResult) -> str:
    return f"lr {run.spec.learning_rate:.4g} is {run.label} after {run.steps:,} steps"


def _edge(posterior: Posterior) -> str:
    edge = posterior.edge(TARGETS["lr90"])
    return f"lr90 between {10**edge.low:.3g} and {10**edge.high:.3g}"


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
