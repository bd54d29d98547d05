"""The search of one arm: its plan, from params.yaml and the audit, and what its trials found."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lr_ceiling.ceiling import TARGETS, Ceiling
from lr_ceiling.course import Aim
from lr_ceiling.params import Search, Training
from lr_ceiling.posterior import Calls, Posterior, curves
from lr_ceiling.runs import (
    Activation,
    Audit,
    EarlyDecisions,
    Label,
    RunResult,
    RunSpec,
    Study,
    Variant,
    derived_seed,
    digest_of,
    write_json,
    write_runs,
    write_text,
)
from lr_ceiling.sampler import CeilingSampler
from lr_ceiling.study import Plan, observation

# Of so many trials one is not ended early.
AUDITED = 8


def qualified(audit: Audit, variant: Variant) -> tuple[Label, ...]:
    """The rules that may end a trial of a variant.

    An audit, with runs of this variant among its own, found them wrong in less than one call of
    twenty. What explodes without batch norm may learn with it.
    """
    return tuple(
        rule.rule
        for rule in audit.rules
        if rule.wrong_share_below < 0.05 and any(arm.startswith(f"{variant}-") for arm in rule.arms)
    )


def calls_of(audit: Audit) -> Calls:
    """The early calls that an audit did not follow, of all rules."""
    return Calls(sum(rule.audited for rule in audit.rules), sum(rule.wrong for rule in audit.rules))


def template_of(
    training: Training,
    search: Search,
    variant: Variant,
    activation: str,
    audit: Audit,
    data_digest: str,
) -> RunSpec:
    """A trial of the arm's study, but for learning rate and seed."""
    return RunSpec.of(
        training,
        variant=variant,
        activation=activation,
        learning_rate=search.range[variant].low,
        seed=search.seed,
        ended_by=qualified(audit, variant),
        data_digest=data_digest,
    )


def make_plan(template: RunSpec, search: Search, calls: Calls) -> Plan:
    """The plan of the study of `template`'s arm.

    Each trial has initial weights and batches of its own. One of each eight, by lot, is not ended
    early, so that wrong calls show; two in a row would spend a fifth of a budget of ten full runs.
    The budget is no part of the key, so that a larger one goes on where a smaller one ended.
    """
    bounds = search.range[template.variant].model_dump()
    key = digest_of(template.model_dump(), search.lag, search.interval_decades, bounds, calls)

    def spec(index: int, learning_rate: float) -> RunSpec:
        changes: dict[str, object] = {
            "learning_rate": learning_rate,
            "seed": derived_seed(key, "run", index),
        }
        if derived_seed(key, "audit", index // AUDITED) % AUDITED == index % AUDITED:
            changes["ended_by"] = ()
        return template.model_copy(update=changes)

    return Plan(aim_of(key, template.variant, template.activation, search, calls), spec)


def aim_of(key: str, variant: Variant, activation: Activation, search: Search, calls: Calls) -> Aim:
    """The aim of the study `key`."""
    bounds = search.range[variant]
    return Aim(
        key=key,
        low=bounds.low,
        high=bounds.high,
        interval_decades=search.interval_decades,
        budget=search.budget(f"{variant}-{activation}"),
        lag=search.lag,
        calls=calls,
    )


def make_sampler(aim: Aim) -> CeilingSampler:
    """The sampler of the study."""
    return CeilingSampler(aim.key, aim.lag, (aim.low, aim.high), aim.calls)


def posterior_of(aim: Aim, runs: Sequence[RunResult]) -> Posterior:
    """The posterior of these trials."""
    return Posterior(curves(aim.bounds), list(map(observation, runs)), aim.calls)


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


def write_study(folder: Path, aim: Aim, runs: Sequence[RunResult]) -> Study:
    """Write all that a search leaves into its folder, and give what its trials found."""
    ceiling = Ceiling(posterior_of(aim, runs))
    study = summarise(aim, runs, ceiling)
    write_runs(folder / "runs.json", runs)
    write_trials(folder / "trials.csv", runs)
    write_json(folder / "posterior.json", ceiling.belief().model_dump())
    write_json(folder / "study.json", study.model_dump())
    return study


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
