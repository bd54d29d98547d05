"""The arms' studies, as specified by params.yaml and the audit."""

from collections.abc import Sequence
from pathlib import Path

from lr_ceiling.errors import ParamsError
from lr_ceiling.evidence.records import AuditedRule
from lr_ceiling.evidence.study import ArmProblem, ArmTrials
from lr_ceiling.mnist.specification import Variant
from lr_ceiling.pipeline.params import Params, Range
from lr_ceiling.search.schedule import Question


def range_of(values: Params, variant: str) -> Range:
    """The range of learning rates of a variant. Raises ParamsError if it has none."""
    ranges = {str(known): limits for known, limits in values.search.range.items()}
    if variant not in ranges:
        raise ParamsError(f"--variant is {variant!r}: search.range has {', '.join(ranges)}")
    return ranges[variant]


def question_of(values: Params, variant: str, activation: str) -> Question:
    """The question of an arm's search. Raises ParamsError for a variant without a range."""
    search, bounds = values.search, range_of(values, variant)
    return Question(
        low=bounds.low,
        high=bounds.high,
        interval_decades=search.interval_decades,
        budget=search.budget(f"{variant}-{activation}"),
        seed=search.seed,
        lag=search.lag,
        confirmations=search.confirmations,
        usable_runs=values.usable.runs,
        usable_loss=values.usable.loss,
    )


def problem_of(
    values: Params,
    variant: str,
    activation: str,
    rules: Sequence[AuditedRule],
    splits: Path,
    data_digest: str,
) -> ArmProblem:
    """The problem of an arm, with the audited `rules`.

    Raises ParamsError for an arm that can't be searched.
    """
    range_of(values, variant)
    known: Variant = "baseline" if variant == "baseline" else "batchnorm"
    return ArmProblem(values.training, known, activation, rules, splits, data_digest)


def trials_of(
    values: Params,
    variant: str,
    activation: str,
    rules: Sequence[AuditedRule],
    splits: Path,
    data_digest: str,
) -> ArmTrials:
    """The trials of an arm's study."""
    problem = problem_of(values, variant, activation, rules, splits, data_digest)
    return problem.trials(question_of(values, variant, activation))
