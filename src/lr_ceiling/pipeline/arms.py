"""The arms' studies as params.yaml and the audit make them."""

from collections.abc import Sequence
from pathlib import Path

from lr_ceiling.errors import ParamsError
from lr_ceiling.evidence.records import AuditedRule
from lr_ceiling.evidence.study import ArmTrials, Settings, calls_of, template_of
from lr_ceiling.pipeline.params import Params, Range


def range_of(values: Params, variant: str) -> Range:
    """The learning rates that may be tried. Raises ParamsError for a variant that has none."""
    ranges = {str(known): limits for known, limits in values.search.range.items()}
    if variant not in ranges:
        raise ParamsError(f"--variant is {variant!r}: search.range has {', '.join(ranges)}")
    return ranges[variant]


def trials_of(
    values: Params,
    variant: str,
    activation: str,
    rules: Sequence[AuditedRule],
    splits: Path,
    data_digest: str,
) -> ArmTrials:
    """The trials of an arm's study; `rules` have been audited.

    Raises ParamsError for an arm that can't be searched.
    """
    search, bounds = values.search, range_of(values, variant)
    settings = Settings(
        seed=search.seed,
        lag=search.lag,
        interval_decades=search.interval_decades,
        budget=search.budget(f"{variant}-{activation}"),
        low=bounds.low,
        high=bounds.high,
    )
    template = template_of(
        values.training,
        settings,
        "baseline" if variant == "baseline" else "batchnorm",
        activation,
        rules,
        data_digest,
    )
    return ArmTrials(template, settings, calls_of(rules), splits)
