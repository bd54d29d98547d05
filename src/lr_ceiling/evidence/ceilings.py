"""The ceilings of all arms: their ratios to each other, and to the critical rates of theory."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from lr_ceiling.evidence.claims import not_above
from lr_ceiling.evidence.comparison import mean_interval
from lr_ceiling.evidence.measurement import Measurement
from lr_ceiling.evidence.records import (
    Arm,
    ArmCeilings,
    CriticalRates,
    Pooled,
    Ratio,
    Study,
    Theory,
)
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import (
    NOTHING,
    VALUES,
    Belief,
    Estimate,
    Measured,
    ratio,
)
from lr_ceiling.search.posterior import even_shares


def held_against_theory(
    study: Study, belief: Belief, critical: Mapping[str, Any], pooled: Pooled
) -> ArmCeilings:
    """An arm of ceilings.json; `critical` is the output of its theory stage."""
    found = {name: getattr(study, name) for name in Study.model_fields if name != "key"}
    theory = Theory(
        initial=_over_median(study, belief, critical["initial"]),
        trained=_over_median(study, belief, critical["trained"]),
    )
    return ArmCeilings(**found, theory=theory, pooled=pooled)


def ratios(found: Mapping[Arm, Measurement]) -> list[Ratio]:
    """The ratios of batch norm's ceilings to the baseline's, for each activation."""
    ratios = []
    for activation in dict.fromkeys(activation for _, activation in found):
        arms: tuple[Arm, Arm] = ("batchnorm", activation), ("baseline", activation)
        if all(arm in found for arm in arms):
            above, below = (found[arm] for arm in arms)
            tail = not_above(above.measured("lr90"), below.measured("lr90"))
            ratios.append(
                Ratio(
                    activation=activation,
                    lr50=ratio(above.measured("lr50"), below.measured("lr50")),
                    lr90=ratio(above.measured("lr90"), below.measured("lr90")),
                    usable=ratio(above.measured("usable"), below.measured("usable")),
                    exists=round(above.exists * below.exists, 4),
                    not_higher=tail and round(tail, 4),
                )
            )
    return ratios


def typical(rates: Sequence[float]) -> Measured:
    """The median of the networks from which `rates` were drawn, with equally probable values.

    The sign test needs six values to bound a median. The rates are roughly log-normal over seeds.
    Their median is then the geometric mean, and Student's interval of the mean logarithm bounds it
    from two values on; it is wide for two values, and if seeds differ by decades.
    """
    if not rates:
        return NOTHING, []
    logs = [math.log(rate) for rate in rates]
    middle = statistics.fmean(logs)
    low, high = (None if end is None else math.exp(end) for end in mean_interval(logs))
    found = Estimate(estimate=math.exp(middle), ci95=(low, high))
    if len(logs) < 2:
        return found, []
    error = statistics.stdev(logs) / math.sqrt(len(logs))
    shares = even_shares(VALUES)
    return found, np.exp(middle + error * stats.t.ppf(shares, len(logs) - 1)).tolist()


def _measured(study: Study, belief: Belief, name: str) -> Measured:
    return getattr(study, name), getattr(belief, name)


def _over_median(study: Study, belief: Belief, critical: Mapping[str, Any]) -> CriticalRates:
    seen = {name: critical[name] for name in ("median", "least", "most", "n")}
    middle = typical(critical["rates"])
    return CriticalRates(
        **seen,
        typical=_rounded(middle[0], 4),
        lr90_over_median=_rounded(ratio(_measured(study, belief, "lr90"), middle), 3),
        lr50_over_median=_rounded(ratio(_measured(study, belief, "lr50"), middle), 3),
    )


def _rounded(found: Estimate, digits: int) -> Estimate:
    low, value, high = (
        end and significant(end, digits) for end in (found.ci95[0], found.estimate, found.ci95[1])
    )
    return Estimate(estimate=value, ci95=(low, high))
