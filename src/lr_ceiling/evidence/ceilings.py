"""The ceilings of all arms: how many times one is another, and how many times theory's it is."""

from collections.abc import Mapping
from typing import Any

from lr_ceiling.evidence.records import Arm, ArmCeilings, CriticalRates, Ratio, Study, Theory
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import NOTHING, TARGETS, Belief, Estimate, ratio


def held_against_theory(study: Study, critical: Mapping[str, Any]) -> ArmCeilings:
    """An arm of ceilings.json; `critical` is what the theory stage wrote of it."""
    found = {name: getattr(study, name) for name in Study.model_fields if name != "key"}
    theory = Theory(
        initial=_over_median(study, critical["initial"]),
        trained=_over_median(study, critical["trained"]),
    )
    return ArmCeilings(**found, theory=theory)


def ratios(studies: Mapping[Arm, Study], beliefs: Mapping[Arm, Belief]) -> list[Ratio]:
    """How many times the baseline's ceilings batch norm's are, an activation each."""
    found = []
    for activation in dict.fromkeys(activation for _, activation in studies):
        above: Arm = ("batchnorm", activation)
        below: Arm = ("baseline", activation)
        if above in studies and below in studies:
            measured = {
                name: ratio(
                    (getattr(studies[above], name), getattr(beliefs[above], name)),
                    (getattr(studies[below], name), getattr(beliefs[below], name)),
                )
                for name in TARGETS
            }
            found.append(Ratio(activation=activation, **measured))
    return found


def _over_median(study: Study, critical: Mapping[str, Any]) -> CriticalRates:
    seen = {name: critical[name] for name in ("median", "least", "most", "n")}
    return CriticalRates(
        **seen,
        lr90_over_median=_times(study.lr90, seen["median"]),
        lr50_over_median=_times(study.lr50, seen["median"]),
    )


def _times(found: Estimate, median: float | None) -> Estimate:
    if median is None:
        return NOTHING
    low, value, high = (
        end and significant(end / median, 3)
        for end in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return Estimate(estimate=value, ci95=(low, high))
