"""The post's claims about batch norm, each with a statistic, its interval, n and a verdict.

Runs are paired by seed: equal seeds have the same initial kernels and the same batches. With few
seeds "inconclusive" is the honest verdict.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from pydantic import BaseModel
from scipy import stats

from lr_ceiling.evidence.comparison import (
    CONFIDENCE,
    conditions_of,
    mean_interval,
    p_of_mean,
    verdict,
)
from lr_ceiling.evidence.records import Claim, Ratio, Viability
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.rounding import significant
from lr_ceiling.search.estimates import SURE, VALUES, Estimate, Measured, ratio

Runs = Sequence[RunSummary]
# The cells of one activation: the runs of each variant by learning rate.
Rates = Mapping[float, Runs]
# Increased by hand when a claim or its statistic changes: earlier runs are kept, but not their
# claims.
STATISTICS = 2
# Smaller differences of test accuracy count as no difference.
NO_DIFFERENCE = 0.001
# A cell is viable if a fresh seed is stable with more than this probability.
VIABLE = 0.5
# Jeffreys' prior of a probability.
JEFFREYS = 0.5
# Tolerances for "no effect of biases": far too small to affect a prediction, and far above rounding
# errors of a gradient of 0 in float64 (1e-16 in each of up to 21,632 terms).
LOGIT_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-9


def subject_of(spec: RunSpec, grid: BaseModel) -> str:
    """Identity of the subject of claims: the grid's cells, and the settings that their runs share.

    It excludes the seeds, because claims from twelve seeds stay valid for a retraining's few seeds.
    """
    return digest_of(conditions_of(spec), grid.model_dump(), STATISTICS)


def claims_of(
    cells: Mapping[tuple[Variant, Activation, float], Runs],
    ratios: Iterable[Ratio],
    trials: Mapping[Activation, int],
) -> list[Claim]:
    """The claims that the grid and the searches can test, activation by activation.

    `trials` is the number of trials behind each ratio of the ceilings.
    """
    found = []
    for activation in dict.fromkeys(activation for _, activation, _ in cells):
        rates: dict[Variant, dict[float, Runs]] = {"baseline": {}, "batchnorm": {}}
        for (variant, of, rate), runs in cells.items():
            if of == activation:
                rates[variant][rate] = runs
        if rates["baseline"] and rates["batchnorm"]:
            found += faster(activation, rates["baseline"], rates["batchnorm"])
            found.append(faster_at_best(activation, rates["baseline"], rates["batchnorm"]))
            found.append(better(activation, rates["baseline"], rates["batchnorm"]))
    return found + [higher(ratio, trials[ratio.activation]) for ratio in ratios]


def faster(activation: Activation, baseline: Rates, batchnorm: Rates) -> list[Claim]:
    """The claim that batch norm reaches 95% in fewer steps, at each learning rate that both have.

    Each rate has its own claim, because pairs of one seed at two rates are not independent.
    """
    return [
        _faster(
            f"faster-{activation}-{rate:g}",
            f"With {activation} at learning rate {rate:g}, batch norm gets to 95% in fewer steps",
            step_ratios(baseline[rate], batchnorm[rate]),
        )
        for rate in baseline
        if rate in batchnorm
    ]


def faster_at_best(activation: Activation, baseline: Rates, batchnorm: Rates) -> Claim:
    """The claim that batch norm reaches 95% in fewer steps, each variant at its fastest rate."""
    slow, quick = fastest(baseline), fastest(batchnorm)
    return _faster(
        f"faster-at-best-{activation}",
        f"With {activation}, batch norm at learning rate {quick:g} gets to 95% in fewer steps than "
        f"the baseline at {slow:g}, each at its fastest",
        step_ratios(baseline[slow], batchnorm[quick]),
    )


def better(activation: Activation, baseline: Rates, batchnorm: Rates) -> Claim:
    """The claim that batch norm is more accurate, each variant at its best rate by validation.

    The interval must lie beyond NO_DIFFERENCE.
    """
    rate = {"baseline": most_accurate(baseline), "batchnorm": most_accurate(batchnorm)}
    of_seed = {run.spec.seed: run.test_accuracy for run in baseline[rate["baseline"]]}
    differences = [
        run.test_accuracy - before
        for run in batchnorm[rate["batchnorm"]]
        if run.test_accuracy is not None and (before := of_seed.get(run.spec.seed)) is not None
    ]
    low, high = mean_interval(differences)
    return Claim(
        id=f"better-results-{activation}",
        statement=(
            f"With {activation}, batch norm at learning rate {rate['batchnorm']:g} ends more "
            f"accurate than the baseline at {rate['baseline']:g}, each chosen on validation images"
        ),
        verdict=verdict(
            (low and low - NO_DIFFERENCE, high and high - NO_DIFFERENCE),
        ),
        statistic=(
            "mean difference of test accuracy, batchnorm - baseline, pairs of a seed; "
            f"within {NO_DIFFERENCE:g} of 0 there is none"
        ),
        estimate=statistics.fmean(differences) if differences else None,
        ci95=(low, high),
        n=len(differences),
        p_value=p_of_mean(differences, NO_DIFFERENCE),
    )


def higher(ratio: Ratio, trials: int) -> Claim:
    """The claim that batch norm allows higher learning rates, if both ceilings probably exist."""
    low, high = ratio.lr90.ci95
    exists = ratio.exists or 0.0
    found = verdict((low and math.log(low), high and math.log(high)))
    return Claim(
        id=f"higher-learning-rate-{ratio.activation}",
        statement=f"With {ratio.activation}, batch norm allows higher learning rates",
        verdict=found if exists >= SURE else "inconclusive",
        statistic=(
            "ratio of the ceilings lr90, batchnorm / baseline, which both exist with probability "
            f"{exists:.2f}; n counts trials"
        ),
        estimate=ratio.lr90.estimate,
        ci95=(low, high),
        n=trials,
        p_value=None if ratio.not_higher is None else in_doubt(ratio.not_higher, exists),
    )


def viability(runs: Runs) -> Viability:
    """The probability that the cell of these runs is viable."""
    stable = sum(run.label == "stable" for run in runs)
    failed = len(runs) - stable
    spec = runs[0].spec
    return Viability(
        variant=spec.variant,
        activation=spec.activation,
        learning_rate=spec.learning_rate,
        seeds=len(runs),
        stable=stable,
        viable=round(float(stats.beta.sf(VIABLE, JEFFREYS + stable, JEFFREYS + failed)), 4),
    )


def more_activations(cells: Sequence[Viability]) -> Claim:
    """The claim that more cells are viable with batch norm; both variants have the same cells.

    The cells are fixed, not a sample, so the uncertainty is that of their seeds alone. If batch
    norm does not have more viable cells, the claim is "not supported".
    """
    viable = {
        variant: [cell.viable for cell in cells if cell.variant == variant]
        for variant in ("baseline", "batchnorm")
    }
    # The difference is -len(baseline), plus one for each viable cell of batch norm and for each
    # cell of the baseline that is not viable.
    not_viable = [1 - p for p in viable["baseline"]]
    number = stats.poisson_binom([*viable["batchnorm"], *not_viable])
    tail = (1 - CONFIDENCE) / 2
    # Smaller than any tail probability, larger than rounding errors.
    low, middle, high = (
        int(number.ppf(share - 1e-12)) - len(viable["baseline"]) for share in (tail, 0.5, 1 - tail)
    )
    return Claim(
        id="more-activations",
        statement=(
            "Batch norm makes more activations viable: of "
            f"{len(viable['batchnorm'])} pairs of an activation and a learning rate, "
            "more are stable in most seeds"
        ),
        verdict="supported" if low > 0 else "not supported" if high <= 0 else "inconclusive",
        statistic="number of viable cells, batchnorm - baseline; n counts runs",
        estimate=middle,
        ci95=(low, high),
        n=sum(cell.seeds for cell in cells),
        p_value=two_sided(float(number.cdf(len(viable["baseline"])))),
    )


def easier_initialisation(
    activation: Activation,
    rate: float,
    baseline: Measured,
    batchnorm: Measured,
    runs: int,
    exists: float,
) -> Claim:
    """The claim that batch norm learns from a wider range of initial scales.

    Each width is a factor: the highest stable scale over the lowest. `exists` is the probability
    that each network's report is right about the existence of a width.
    """
    difference = in_decades(ratio(batchnorm, baseline))
    return Claim(
        id=f"easier-initialisation-{activation}",
        statement=(
            f"With {activation} at learning rate {rate:g}, batch norm is stable over a wider range "
            "of scales of the initial kernels"
        ),
        verdict=verdict(difference.ci95) if exists >= SURE else "inconclusive",
        statistic=(
            "width in decades of the scales at which a fresh seed is stable with probability 0.9, "
            f"batchnorm - baseline, which are so with probability {exists:.2f}; n counts runs"
        ),
        estimate=difference.estimate,
        ci95=difference.ci95,
        n=runs,
        p_value=None
        if (tail := not_above(batchnorm, baseline)) is None
        else in_doubt(tail, exists),
    )


def in_decades(factor: Estimate) -> Estimate:
    """The decimal logarithm of a factor and of its interval."""

    def decades(value: float | None) -> float | None:
        return None if value is None else round(math.log10(value), 3)

    low, high = factor.ci95
    return Estimate(estimate=decades(factor.estimate), ci95=(decades(low), decades(high)))


def bias_unnecessary(activation: Activation, effect: Mapping[str, float]) -> Claim:
    """The claim that a bias before batch norm has no effect; `effect` is from the theory stage."""
    logits, gradient = effect["logit_difference"], effect["gradient_ratio"]
    nothing = logits < LOGIT_TOLERANCE and gradient < GRADIENT_TOLERANCE
    return Claim(
        id=f"bias-unnecessary-{activation}",
        statement=f"With {activation}, a bias before batch norm changes nothing",
        verdict="supported" if nothing else "not supported",
        statistic=(
            "largest difference of a logit in training mode, with random biases and without "
            f"(the largest gradient of a bias is {gradient:.2g} of a weight's)"
        ),
        estimate=logits,
        ci95=(None, None),
        n=int(effect["n"]),
    )


def not_above(above: Measured, below: Measured) -> float | None:
    """Probability that `above` is not above `below`; None if one is not bounded.

    Each has VALUES equally probable values, so smaller probabilities than 1/VALUES are unknown.
    """
    (_, upper), (_, lower) = above, below
    if not (upper and lower):
        return None
    tail = float(np.mean(np.less_equal.outer(np.asarray(upper), np.asarray(lower))))
    return float(np.clip(tail, 1 / VALUES, 1 - 1 / VALUES))


def in_doubt(tail: float, exists: float) -> float:
    """The two-sided p-value, if `tail` assumes that both exist, which has probability `exists`."""
    return significant(min(2 * (1 - exists * max(tail, 1 - tail)), 1.0), 3)


def two_sided(tail: float) -> float:
    """Twice the smaller of `tail` and 1 - `tail`."""
    return significant(2 * min(tail, 1 - tail), 3)


def step_ratios(baseline: Runs, batchnorm: Runs) -> list[float]:
    """The baseline's steps to 95% over batch norm's, pair by pair.

    If one run of a pair never reaches 95%, the ratio is infinite or 0. Pairs in which neither does
    are left out.
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
    """The learning rate with the lowest median of steps to 95%."""
    return min(
        rates,
        key=lambda rate: statistics.median_high(run.steps_to_95 or math.inf for run in rates[rate]),
    )


def most_accurate(rates: Rates) -> float:
    """The learning rate with the best mean accuracy on the validation images."""
    return max(
        rates, key=lambda rate: statistics.fmean(run.validation_accuracy for run in rates[rate])
    )


def p_of_median(values: Sequence[float], expected: float) -> float | None:
    """The sign test's two-sided p-value of a median of `expected`; None without a value."""
    if not values:
        return None
    return significant(float(stats.quantile_test(values, q=expected, p=0.5).pvalue), 3)


def _faster(name: str, statement: str, ratios: Sequence[float]) -> Claim:
    low, high = median_interval(ratios)
    middle = statistics.median(ratios) if ratios else math.nan
    return Claim(
        id=name,
        statement=statement,
        verdict=verdict((_log(low), _log(high))),
        statistic="median of the baseline's steps to 95% over batch norm's, pairs of a seed",
        estimate=_finite(middle),
        ci95=(_finite(low), _finite(high)),
        n=len(ratios),
        p_value=p_of_median(ratios, 1.0),
    )


def _log(value: float | None) -> float | None:
    if value is None:
        return None
    return math.log(value) if value > 0 else -math.inf


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
