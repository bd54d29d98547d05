"""The study of one arm: its trials, and what they found."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
from pydantic import BaseModel

from lr_ceiling.evidence.records import (
    AuditedArm,
    AuditedRule,
    Conditions,
    EarlyDecisions,
    Study,
)
from lr_ceiling.execution.files import write_json, write_text
from lr_ceiling.identity import derived_seed, digest_of, versions
from lr_ceiling.mnist.results import RunResult, RunSummary, write_runs
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from lr_ceiling.mnist.version import run_digest
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.estimates import TARGETS, Estimates
from lr_ceiling.search.posterior import Calls, Observation, Posterior, curves
from lr_ceiling.search.schedule import AUDITED, Aim, Question

# A rule may end trials if it is wrong in less than one call of twenty, near the edge.
MOST_WRONG = 0.05


def audited_under(
    rules: Iterable[AuditedRule], conditions: Conditions
) -> list[tuple[Label, AuditedArm]]:
    """What an audit found under these very conditions, rule by rule.

    What explodes without batch norm may learn with it, and what is lost after an epoch may come
    back in three.
    """
    return [
        (rule.rule, arm) for rule in rules for arm in rule.under if arm.conditions == conditions
    ]


def qualified(rules: Iterable[AuditedRule], conditions: Conditions) -> tuple[Label, ...]:
    """The rules that may end a trial under these conditions."""
    found = audited_under(rules, conditions)
    return tuple(rule for rule, arm in found if arm.wrong_share_below < MOST_WRONG)


def calls_of(rules: Iterable[AuditedRule], conditions: Conditions) -> Calls:
    """The early calls near the edge that an audit under these conditions did not follow."""
    found = [arm for _, arm in audited_under(rules, conditions)]
    return Calls(sum(arm.near for arm in found), sum(arm.wrong for arm in found))


def unused(rules: Sequence[AuditedRule], conditions: Conditions) -> str | None:
    """Why the audit ends no trial under these conditions, in a line; None where it does."""
    if qualified(rules, conditions):
        return None
    if found := audited_under(rules, conditions):
        counts = ", ".join(f"{rule} {arm.wrong} of {arm.near}" for rule, arm in found)
        return f"the audit's calls near the edge are too few, or wrong too often: {counts}"
    of_arm = [arm.conditions for rule in rules for arm in rule.under]
    of_arm = [one for one in of_arm if one.arm == conditions.arm]
    if of_arm:
        other, own = of_arm[0].model_dump(), conditions.model_dump()
        differ = [name for name in own if own[name] != other[name]]
        words = [f"{name} {other[name]}, not {own[name]}" for name in differ]
        return f"the audit is of {'; '.join(words)}"
    if any(rule.audited and not rule.under for rule in rules):
        return "the audit does not tell its conditions: `make audit` makes it anew"
    return f"no early call was audited of {conditions.arm}"


class ArmTrials:
    """The trials of an arm's study: `template` with learning rates and seeds of their own.

    One of each eight, by lot, is not ended early, so that wrong calls show; two in a row would
    spend a fifth of a budget of ten full runs.
    """

    def __init__(self, template: RunSpec, question: Question, calls: Calls, splits: Path) -> None:
        """`calls` are the early calls that were audited; `splits` is the data file."""
        self.template = template
        self._splits = splits
        self.horizon = template.horizon
        self.aim = question.aim(template.model_dump(), calls)

    def spec(self, index: int, learning_rate: float) -> RunSpec:
        """The run that trial `index` is."""
        key = self.aim.key
        changes: dict[str, object] = {
            "learning_rate": learning_rate,
            "seed": derived_seed(key, "run", index),
        }
        if derived_seed(key, "audit", index // AUDITED) % AUDITED == index % AUDITED:
            changes["ended_by"] = ()
        return self.template.model_copy(update=changes)

    def task(self, index: int, learning_rate: float) -> TrainingTask:
        """The same as a task."""
        return TrainingTask(self.spec(index, learning_rate), self._splits)

    def is_of(self, result: RunResult, task: TrainingTask) -> bool:
        """Whether `result` is what `task` gives."""
        return result.spec == task.spec

    def observe(self, result: RunResult) -> Observation:
        """What a run says of its learning rate."""
        return observation(result)

    def dump(self, result: RunResult) -> str:
        """A run as JSON."""
        return result.model_dump_json()

    def load(self, text: str) -> RunResult:
        """The run that `dump` wrote."""
        return RunResult.model_validate_json(text)

    def shown(self, result: RunResult) -> dict[str, str | float | int | None]:
        """The seed, the label and the accuracy of a run."""
        return {
            "seed": result.spec.seed,
            "label": result.label,
            "validation_accuracy": result.validation_accuracy,
        }

    def made_by(self) -> dict[str, str]:
        """What the name of the journal tells as well."""
        return {"study": self.aim.key}


@dataclass(frozen=True)
class ArmProblem:
    """An arm of the post's network as a problem: what a run of it is.

    `rules` have been audited; those that qualify under its conditions may end a trial early.
    """

    prepared_by: ClassVar[str] = PREPARED_BY

    training: BaseModel
    variant: Variant
    activation: str
    rules: Sequence[AuditedRule]
    splits: Path
    data_digest: str

    def trials(self, question: Question) -> ArmTrials:
        """The trials of its study."""
        template = RunSpec.of(
            self.training,
            variant=self.variant,
            activation=self.activation,
            learning_rate=question.low,
            seed=question.seed,
            data_digest=self.data_digest,
        )
        conditions = Conditions.of(template)
        template = template.model_copy(update={"ended_by": qualified(self.rules, conditions)})
        return ArmTrials(template, question, calls_of(self.rules, conditions), self.splits)


def journal_of(state: Path, arm: str, trials: ArmTrials) -> Path:
    """Where the study of an arm keeps its trials: by what makes them."""
    made_by = digest_of(trials.aim.key, run_digest(), versions(("optuna", "scipy")))
    return state / f"{arm}-{made_by}.journal"


def observation(run: RunSummary) -> Observation:
    """What a run says of its learning rate."""
    return Observation(
        u=math.log10(run.spec.learning_rate),
        stable=run.label == "stable",
        called=is_predicted(run),
        ended=is_predicted(run) and run.steps < run.spec.horizon,
        cost=run.steps / run.spec.horizon,
    )


def is_predicted(run: RunSummary) -> bool:
    """Whether the judge predicted a failure; a number that is no number is a fact, and no call."""
    return run.called not in (None, "diverged")


def posterior_of(aim: Aim, runs: Sequence[RunResult]) -> Posterior:
    """The posterior of these trials."""
    return Posterior(curves(aim.bounds), list(map(observation, runs)), aim.calls)


def summarise(aim: Aim, runs: Sequence[RunResult], ceiling: Estimates) -> Study:
    """What the trials of this aim found."""
    stable = [run.spec.learning_rate for run in runs if run.label == "stable"]
    steps = sum(run.steps for run in runs)
    called = [run for run in runs if is_predicted(run)]
    audited = [run for run in called if run.steps == run.spec.horizon]
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
            made=len(called) - len(audited),
            audited=len(audited),
            wrong=sum(run.label == "stable" for run in audited),
        ),
        checks=ceiling.checks(),
    )


def write_study(folder: Path, aim: Aim, runs: Sequence[RunResult]) -> Study:
    """Write all that a search leaves into its folder, and give what its trials found."""
    ceiling = Estimates(posterior_of(aim, runs))
    study = summarise(aim, runs, ceiling)
    write_runs(folder / "runs.json", runs)
    write_trials(folder / "trials.csv", runs)
    write_json(folder / "posterior.json", asdict(ceiling.belief()))
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
