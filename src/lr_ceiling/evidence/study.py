"""The study of one arm: its trials and their results."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd
from pydantic import BaseModel
from scipy import stats

from lr_ceiling.evidence.early_calls import call_of, calls_of, qualified
from lr_ceiling.evidence.measurement import Measurement, surest_of, usable_rate
from lr_ceiling.evidence.records import (
    AsSaved,
    AuditedCalls,
    AuditedRule,
    Conditions,
    Confirmed,
    EarlyDecisions,
    Lag,
    Spent,
    Study,
)
from lr_ceiling.execution.files import write_json, write_text
from lr_ceiling.identity import derived_seed, digest_of, versions
from lr_ceiling.mnist.results import RunResult, RunSummary, write_runs
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from lr_ceiling.mnist.version import run_digest
from lr_ceiling.search.estimates import TARGETS, Estimate
from lr_ceiling.search.posterior import CREDIBLE, Call, Calls, Observation
from lr_ceiling.search.schedule import AUDITED, PARTS, Aim, Part, Question


class ArmTrials:
    """The trials of an arm's study: `template` with a learning rate and a seed for each.

    One random trial of each eight is not ended early, so that wrong calls are detected. Two in
    succession would spend a fifth of a budget of ten full runs.
    """

    def __init__(self, template: RunSpec, question: Question, calls: Calls, splits: Path) -> None:
        """`calls` are the audited early calls; `splits` is the data file."""
        self.template = template
        self._splits = splits
        self.horizon = template.horizon
        self.aim = question.aim(template.model_dump(), calls)

    def spec(self, index: int, learning_rate: float, part: Part) -> RunSpec:
        """The run of trial `index`."""
        key = self.aim.key
        changes: dict[str, object] = {
            "learning_rate": learning_rate,
            "seed": derived_seed(key, "run", index),
        }
        if derived_seed(key, "audit", index // AUDITED) % AUDITED == index % AUDITED:
            changes["ended_by"] = ()
        elif part == "usable":
            # Such a trial needs the score at its end.
            changes["ended_by"] = tuple(call for call in self.template.ended_by if call != "stable")
        return self.template.model_copy(update=changes)

    def task(self, index: int, learning_rate: float, part: Part) -> TrainingTask:
        """The run of trial `index`, as a task."""
        return TrainingTask(self.spec(index, learning_rate, part), self._splits)

    def is_of(self, result: RunResult, task: TrainingTask) -> bool:
        """Whether `result` is the result of `task`."""
        return result.spec == task.spec

    def observe(self, result: RunResult) -> Observation:
        """The observation in a run."""
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
        """The study's key, which is also in the name of the journal."""
        return {"study": self.aim.key}


@dataclass(frozen=True)
class ArmProblem:
    """An arm of the post's network as a problem.

    `rules` are the audited rules; those that qualify under its conditions may end a trial early.
    """

    prepared_by: ClassVar[str] = PREPARED_BY

    training: BaseModel
    variant: Variant
    activation: str
    rules: Sequence[AuditedRule]
    splits: Path
    data_digest: str

    def trials(self, question: Question) -> ArmTrials:
        """The trials of the study that answers this question."""
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
    """The path of the journal of an arm's study, which contains the study's key."""
    made_by = digest_of(trials.aim.key, run_digest(), versions(("optuna", "scipy")))
    return state / f"{arm}-{made_by}.journal"


def observation(run: RunSummary) -> Observation:
    """The observation in a run."""
    stable, whole = run.label == "stable", run.ran_whole
    called = call_of(run)
    return Observation(
        u=math.log10(run.spec.learning_rate),
        stable=stable,
        called=called,
        ended=was_ended(run),
        cost=run.steps / run.spec.horizon,
        # If a call of success may end runs, the runs that it did not end are a biased sample.
        score=run.accuracy_by_weights
        if stable and whole and "stable" not in run.spec.ended_by
        else None,
    )


def was_ended(run: RunSummary) -> bool:
    """Whether an early call ended the run. A diverged run was not ended by a call."""
    return call_of(run) is not None and not run.ran_whole and run.called != "diverged"


def as_saved(run: RunSummary) -> Observation:
    """The same for the model as saved. A run that was ended early counts as its call."""
    seen = observation(run)
    if not run.ran_whole or run.called == "diverged":
        return seen
    stable = run.validation_accuracy >= run.spec.target_accuracy
    score = run.validation_accuracy if stable and seen.score is not None else None
    return seen._replace(stable=stable, score=score)


def measure(aim: Aim, observations: Sequence[Observation]) -> Measurement:
    """The measurement from these trials."""
    return Measurement.of(observations, aim.bounds, aim.calls, aim.usable_loss)


def summarise(
    aim: Aim, runs: Sequence[RunResult], parts: Sequence[Part], found: Measurement
) -> Study:
    """The results of the trials of this aim; `parts` are the parts of the trials."""
    ceiling, spec = found.estimates, runs[0].spec
    stable = [run.spec.learning_rate for run in runs if run.label == "stable"]
    steps = sum(run.steps for run in runs)
    return Study(
        variant=spec.variant,
        activation=spec.activation,
        optimizer=spec.optimizer,
        target=spec.target_accuracy,
        horizon_steps=spec.horizon,
        key=aim.key,
        lr50=ceiling.estimate(TARGETS["lr50"]),
        lr90=ceiling.estimate(TARGETS["lr90"]),
        usable=usable_rate(found.usable),
        as_saved=_as_saved(aim, runs) if spec.variant == "batchnorm" else None,
        confirmed=_confirmed(runs, parts),
        expected=(aim.low, aim.high),
        calls=AuditedCalls.of(aim.calls),
        transition_decades=round(ceiling.posterior.width(), 4),
        bounded=ceiling.bounds_of(TARGETS["lr90"]),
        surest=surest_of(ceiling),
        highest_stable=max(stable, default=None),
        stopped=_edges_ended(aim, runs, parts),
        trials=len(runs),
        labels=dict(sorted(Counter(run.label for run in runs).items())),
        steps_spent=steps,
        full_run_equivalents=round(steps / spec.horizon, 3),
        spent=Spent(**{part: _spent(runs, parts, part) for part in PARTS}),
        early_decisions=_decisions(runs, "failure"),
        early_successes=_decisions(runs, "success"),
        checks=ceiling.checks(),
    )


def _edges_ended(
    aim: Aim, runs: Sequence[RunResult], parts: Sequence[Part]
) -> Literal["interval", "range", "budget"]:
    """Why the search for the edge ended, by its own trials: later trials may move the edge."""
    edges = [observation(run) for run, part in zip(runs, parts, strict=True) if part == "edge"]
    return measure(aim, edges).estimates.ended(aim.interval_decades) or "budget"


def _confirmed(runs: Sequence[RunResult], parts: Sequence[Part]) -> Confirmed | None:
    seeds = [run for run, part in zip(runs, parts, strict=True) if part == "confirm"]
    if not seeds:
        return None
    return Confirmed(
        learning_rate=seeds[0].spec.learning_rate,
        lowest=min(run.spec.learning_rate for run in seeds),
        seeds=len(seeds),
        stable=sum(run.label == "stable" for run in seeds),
    )


def _spent(runs: Sequence[RunResult], parts: Sequence[Part], part: Part) -> float:
    steps = sum(run.steps for run, of in zip(runs, parts, strict=True) if of == part)
    return round(steps / runs[0].spec.horizon, 3)


def _decisions(runs: Sequence[RunResult], call: Call) -> EarlyDecisions:
    called = [run for run in runs if call_of(run) == call]
    audited = [run for run in called if not was_ended(run)]
    return EarlyDecisions(
        made=len(called) - len(audited),
        audited=len(audited),
        wrong=sum((run.label == "stable") == (call == "failure") for run in audited),
    )


def _as_saved(aim: Aim, runs: Sequence[RunResult]) -> AsSaved:
    found = measure(aim, [as_saved(run) for run in runs])
    return AsSaved(
        lr50=found.estimates.estimate(TARGETS["lr50"]),
        lr90=found.estimates.estimate(TARGETS["lr90"]),
        usable=usable_rate(found.usable),
        lag=lag_of(runs),
    )


def lag_of(runs: Iterable[RunSummary]) -> Lag | None:
    """The loss through the moving averages for sound weights; None if no run shows it."""
    sound = [run for run in runs if run.label == "stable" and run.ran_whole]
    if not sound:
        return None
    cost = [run.accuracy_by_weights - run.validation_accuracy for run in sound]
    kept = sum(run.validation_accuracy >= run.spec.target_accuracy for run in sound)
    interval = stats.binomtest(kept, len(sound)).proportion_ci(CREDIBLE, method="exact")
    return Lag(
        n=len(sound),
        median=round(statistics.median(cost), 4),
        most=round(max(cost), 4),
        keeps_up=Estimate(
            estimate=round(kept / len(sound), 4),
            ci95=(round(float(interval.low), 4), round(float(interval.high), 4)),
        ),
    )


def write_study(folder: Path, aim: Aim, runs: Sequence[RunResult], parts: Sequence[Part]) -> Study:
    """Write all files of a search into its folder, and return the results of its trials."""
    found = measure(aim, list(map(observation, runs)))
    study = summarise(aim, runs, parts, found)
    write_runs(folder / "runs.json", runs)
    write_trials(folder / "trials.csv", runs, parts)
    _, usable = found.measured("usable")
    belief = replace(found.estimates.belief(), usable=tuple(usable))
    write_json(folder / "posterior.json", asdict(belief))
    write_json(folder / "study.json", study.model_dump())
    return study


def write_trials(path: Path, runs: Sequence[RunResult], parts: Sequence[Part]) -> None:
    """Write the trial table, one row per trial in order of index."""
    rows = [
        {
            "index": index,
            "part": part,
            "learning_rate": run.spec.learning_rate,
            "seed": run.spec.seed,
            "label": run.label,
            "called": run.called,
            "called_at": run.called_at,
            "called_stable_at": run.called_stable_at,
            "steps": run.steps,
            "validation_accuracy": run.validation_accuracy,
            "reestimated_accuracy": run.reestimated_accuracy,
        }
        for index, (run, part) in enumerate(zip(runs, parts, strict=True))
    ]
    frame = pd.DataFrame(rows).astype({"called_at": "Int64", "called_stable_at": "Int64"})
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))
