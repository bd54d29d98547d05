"""The comparison of the grid's cells: means, spreads, and paired differences."""

import math
import statistics
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

from scipy import stats

from lr_ceiling.evidence.records import NOT_SHARED, CellSummary, Claim, Spread
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult, RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.mnist.version import engine_digest
from lr_ceiling.rounding import significant

CONFIDENCE = 0.95


def conditions_of(spec: RunSpec) -> str:
    """Identity of the settings that comparable runs share: code, data, steps, optimizer, target."""
    return digest_of(engine_digest(), spec.model_dump(exclude=NOT_SHARED))


def summarise_cell(runs: Sequence[RunSummary]) -> CellSummary:
    """A cell from its runs, one per seed."""
    spec = runs[0].spec
    return CellSummary(
        variant=spec.variant,
        activation=spec.activation,
        learning_rate=spec.learning_rate,
        seeds=tuple(run.spec.seed for run in runs),
        labels=dict(sorted(Counter(run.label for run in runs).items())),
        validation_accuracy=spread([run.validation_accuracy for run in runs]),
        test_accuracy=spread([run.test_accuracy for run in runs if run.test_accuracy is not None]),
        steps_to_95=tuple(run.steps_to_95 for run in runs),
        parameters=runs[0].parameters,
    )


def best_run(cells: Mapping[str, Sequence[RunResult]]) -> tuple[str, RunResult]:
    """The cell with the best mean validation accuracy, and the best of its runs."""

    def accuracy(cell: str) -> tuple[float, str]:
        return statistics.fmean(run.validation_accuracy for run in cells[cell]), cell

    cell = max(cells, key=accuracy)
    return cell, max(cells[cell], key=lambda run: (run.validation_accuracy, -run.spec.seed))


def spread(values: Sequence[float]) -> Spread:
    """Mean, sample standard deviation (None for fewer than two) and the values themselves."""
    return Spread(
        mean=statistics.fmean(values) if values else None,
        std=statistics.stdev(values) if len(values) > 1 else None,
        values=tuple(values),
    )


def mean_by_step(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """The mean of curves, each a value by step, at the steps that all of them have, in order.

    A diverged run has fewer steps. A mean over the remaining runs would rise with each such run.
    """
    shared = set.intersection(*(set(curve) for curve in curves))
    return {step: statistics.fmean(curve[step] for curve in curves) for step in sorted(shared)}


def validation_curve(run: RunResult) -> dict[int, float]:
    """Inference accuracy on validation images by optimizer step."""
    return {check.step: check.inference for check in run.checks}


def training_curve(run: RunResult) -> dict[int, float]:
    """The same in training mode, in which batch norm uses the images' own statistics."""
    return {check.step: check.training for check in run.checks if check.training is not None}


def gap(runs: Sequence[RunResult]) -> Spread:
    """The spread of the final accuracy in training mode minus that in inference mode.

    Both use the same validation images, and differ only in batch norm's statistics.
    """
    ends = [run.checks[-1] for run in runs if run.checks]
    return spread([end.training - end.inference for end in ends if end.training is not None])


def around(runs: Sequence[RunResult], edge: float) -> list[RunResult]:
    """The nearest stable run below the learning rate `edge`, and the nearest failed run above.

    If there is none on that side, the nearest one on the other side is used, or none at all.
    """
    stable = [run for run in runs if run.label == "stable"]
    failed = [run for run in runs if run.label != "stable"]
    below = min(stable, key=lambda run: _beyond(edge / run.spec.learning_rate), default=None)
    above = min(failed, key=lambda run: _beyond(run.spec.learning_rate / edge), default=None)
    return [run for run in (below, above) if run]


def _beyond(ratio: float) -> tuple[bool, float]:
    return ratio < 1, max(ratio, 1 / ratio)


def all_more_accurate(
    cells: Mapping[tuple[Variant, Activation, float], Sequence[RunSummary]],
) -> list[Claim]:
    """One claim per activation and learning rate with which both variants were trained."""
    return [
        more_accurate(f"{activation}-{rate}", runs, cells["batchnorm", activation, rate])
        for (variant, activation, rate), runs in cells.items()
        if variant == "baseline" and ("batchnorm", activation, rate) in cells
    ]


def more_accurate(
    pair: str, baseline: Sequence[RunSummary], batchnorm: Sequence[RunSummary]
) -> Claim:
    """The claim that batch norm is more accurate than the baseline; `pair` names the two cells.

    The statistic is the mean difference of test accuracies, paired by seed (the same initial
    kernels, the same batches), with Student's t interval, None for fewer than two pairs.
    """
    by_seed = {
        run.spec.seed: run.test_accuracy for run in baseline if run.test_accuracy is not None
    }
    differences = [
        run.test_accuracy - by_seed[run.spec.seed]
        for run in batchnorm
        if run.test_accuracy is not None and run.spec.seed in by_seed
    ]
    spec = batchnorm[0].spec
    interval = mean_interval(differences)
    return Claim(
        id=f"more-accurate-{pair}",
        statement=(
            f"With {spec.activation} at learning rate {spec.learning_rate:g}, "
            f"batch norm ends more accurate after {spec.horizon} steps"
        ),
        verdict=verdict(interval),
        statistic="mean paired difference of test accuracy, batchnorm - baseline",
        estimate=statistics.fmean(differences) if differences else None,
        ci95=interval,
        n=len(differences),
        p_value=p_of_mean(differences),
    )


def mean_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's t 95% interval of the mean; (None, None) for fewer than two values."""
    if len(values) < 2:
        return None, None
    with warnings.catch_warnings():
        # scipy warns of nearly equal values, but their narrow interval is right.
        warnings.simplefilter("ignore", RuntimeWarning)
        low, high = stats.ttest_1samp(values, 0).confidence_interval(CONFIDENCE)
    return float(low), float(high)


def p_of_mean(values: Sequence[float], expected: float = 0.0) -> float | None:
    """Student's two-sided p-value of a mean of `expected`; None for fewer than two values."""
    if len(values) < 2:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        p = float(stats.ttest_1samp(values, expected).pvalue)
    # It is NaN if all values equal the expected one, which is no evidence against it.
    return 1.0 if math.isnan(p) else significant(p, 3)


def verdict(interval: tuple[float | None, float | None]) -> str:
    """The verdict on the claim that an effect is above zero, by the effect's interval."""
    low, high = interval
    if low is not None and low > 0:
        return "supported"
    if high is not None and high < 0:
        return "not supported"
    return "inconclusive"
