"""The post's claims about batch norm, each with a statistic, its interval, n and a verdict.

Runs are paired by seed: equal seeds start from the same kernels and see the same batches. With few
seeds "inconclusive" is the honest verdict.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from scipy import stats

from lr_ceiling.comparison import CONFIDENCE, mean_interval, verdict
from lr_ceiling.runs import Activation, Ratio, Record, RunResult, Variant

Runs = Sequence[RunResult]
# The cells of one activation: the runs of each variant by learning rate.
Rates = Mapping[float, Runs]
# Differences of test accuracy within this are none.
NO_DIFFERENCE = 0.001


class Claim(Record):
    """A claim and what the runs say of it; an interval's unbounded side is None."""

    id: str
    statement: str
    verdict: str
    statistic: str
    estimate: float | None
    ci95: tuple[float | None, float | None]
    n: int


def claims_of(
    cells: Mapping[tuple[Variant, Activation, float], Runs], ratios: Iterable[Ratio]
) -> list[Claim]:
    """The claims that the grid and the searches can tell of, activation by activation."""
    found = []
    for activation in dict.fromkeys(activation for _, activation, _ in cells):
        rates: dict[Variant, dict[float, Runs]] = {"baseline": {}, "batchnorm": {}}
        for (variant, of, rate), runs in cells.items():
            if of == activation:
                rates[variant][rate] = runs
        if rates["baseline"] and rates["batchnorm"]:
            found.append(faster(activation, rates["baseline"], rates["batchnorm"]))
            found.append(faster_at_best(activation, rates["baseline"], rates["batchnorm"]))
            found.append(better(activation, rates["baseline"], rates["batchnorm"]))
    return found + [higher(ratio) for ratio in ratios]


def faster(activation: Activation, baseline: Rates, batchnorm: Rates) -> Claim:
    """That batch norm gets to 95% in fewer steps at equal learning rates."""
    ratios = [
        ratio
        for rate in baseline
        if rate in batchnorm
        for ratio in step_ratios(baseline[rate], batchnorm[rate])
    ]
    return _faster(
        f"faster-{activation}",
        f"With {activation}, batch norm gets to 95% in fewer steps at the same learning rate",
        "pairs of a seed and a learning rate",
        ratios,
    )


def faster_at_best(activation: Activation, baseline: Rates, batchnorm: Rates) -> Claim:
    """That batch norm gets to 95% in fewer steps, each variant at its own fastest rate."""
    slow, quick = fastest(baseline), fastest(batchnorm)
    return _faster(
        f"faster-at-best-{activation}",
        f"With {activation}, batch norm at learning rate {quick:g} gets to 95% in fewer steps than "
        f"the baseline at {slow:g}, each at its fastest",
        "pairs of a seed",
        step_ratios(baseline[slow], batchnorm[quick]),
    )


def better(activation: Activation, baseline: Rates, batchnorm: Rates) -> Claim:
    """That batch norm ends more accurate, each variant at the rate that validation chooses."""
    rate = {"baseline": most_accurate(baseline), "batchnorm": most_accurate(batchnorm)}
    of_seed = {run.spec.seed: run.test_accuracy for run in baseline[rate["baseline"]]}
    differences = [
        run.test_accuracy - before
        for run in batchnorm[rate["batchnorm"]]
        if run.test_accuracy is not None and (before := of_seed.get(run.spec.seed)) is not None
    ]
    low, high = mean_interval(differences)
    none = low is not None and high is not None and -NO_DIFFERENCE <= low <= high <= NO_DIFFERENCE
    return Claim(
        id=f"better-results-{activation}",
        statement=(
            f"With {activation}, batch norm at learning rate {rate['batchnorm']:g} ends more "
            f"accurate than the baseline at {rate['baseline']:g}, each chosen on validation images"
        ),
        verdict="not supported" if none else verdict((low, high)),
        statistic="mean difference of test accuracy, batchnorm - baseline, pairs of a seed",
        estimate=statistics.fmean(differences) if differences else None,
        ci95=(low, high),
        n=len(differences),
    )


def higher(ratio: Ratio) -> Claim:
    """That batch norm allows higher learning rates."""
    low, high = ratio.lr90.ci95
    return Claim(
        id=f"higher-learning-rate-{ratio.activation}",
        statement=f"With {ratio.activation}, batch norm allows higher learning rates",
        verdict=verdict((low and math.log(low), high and math.log(high))),
        statistic="ratio of the ceilings lr90, batchnorm / baseline",
        estimate=ratio.lr90.estimate,
        ci95=(low, high),
        n=2,
    )


def step_ratios(baseline: Runs, batchnorm: Runs) -> list[float]:
    """The baseline's steps to 95% over batch norm's, pair by pair.

    A run that never gets there takes longer than any: the ratio is infinite or 0. Pairs in which
    neither does are left out.
    """
    steps = {run.spec.seed: run.steps_to_95 or math.inf for run in baseline}
    pairs = [
        (steps[run.spec.seed], run.steps_to_95 or math.inf)
        for run in batchnorm
        if run.spec.seed in steps
    ]
    return [slow / quick for slow, quick in pairs if min(slow, quick) < math.inf]


def median_interval(values: Sequence[float]) -> tuple[float, float] | tuple[None, None]:
    """The sign test's 95% interval of the median; (None, None) for fewer than six values."""
    if not values:
        return None, None
    low, high = stats.quantile_test(values, p=0.5).confidence_interval(CONFIDENCE)
    return (None, None) if math.isnan(low) or math.isnan(high) else (float(low), float(high))


def fastest(rates: Rates) -> float:
    """The learning rate with the least median of steps to 95%."""
    return min(
        rates,
        key=lambda rate: statistics.median_high(run.steps_to_95 or math.inf for run in rates[rate]),
    )


def most_accurate(rates: Rates) -> float:
    """The learning rate with the best mean accuracy on the validation images."""
    return max(
        rates, key=lambda rate: statistics.fmean(run.validation_accuracy for run in rates[rate])
    )


def _faster(name: str, statement: str, pairs: str, ratios: Sequence[float]) -> Claim:
    low, high = median_interval(ratios)
    middle = statistics.median(ratios) if ratios else math.nan
    return Claim(
        id=name,
        statement=statement,
        verdict=verdict((_log(low), _log(high))),
        statistic=f"median of the baseline's steps to 95% over batch norm's, {pairs}",
        estimate=_finite(middle),
        ci95=(_finite(low), _finite(high)),
        n=len(ratios),
    )


def _log(value: float | None) -> float | None:
    if value is None:
        return None
    return math.log(value) if value > 0 else -math.inf


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
