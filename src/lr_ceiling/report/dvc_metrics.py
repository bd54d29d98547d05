"""The figures that `dvc metrics show` lists."""

from collections.abc import Iterable, Mapping

from lr_ceiling.evidence.records import ArmCeilings, CellSummary, Claim, Ratio
from lr_ceiling.report.schemas import ArmMetrics, CellMetrics, MetricsReport, RatioMetrics
from lr_ceiling.search.estimates import NOTHING


def metrics(
    cells: Mapping[str, CellSummary],
    arms: Iterable[ArmCeilings],
    ratios: Iterable[Ratio],
    claims: Iterable[Claim],
) -> MetricsReport:
    """The figures of the cells, by their names, and of arms, ratios and claims."""
    return MetricsReport(
        cells={
            name: CellMetrics(
                validation_accuracy=cell.validation_accuracy.mean,
                test_accuracy=cell.test_accuracy.mean,
                stable_runs=cell.labels.get("stable", 0),
            )
            for name, cell in cells.items()
        },
        arms={
            f"{arm.variant}-{arm.activation}": ArmMetrics(
                lr50=arm.headline.lr50.estimate,
                lr90=arm.headline.lr90.estimate,
                lr90_low=arm.headline.lr90.ci95[0],
                lr90_high=arm.headline.lr90.ci95[1],
                usable=arm.headline.usable.estimate,
                usable_low=arm.headline.usable.ci95[0],
                usable_high=arm.headline.usable.ci95[1],
                full_run_equivalents=arm.full_run_equivalents,
            )
            for arm in arms
        },
        ratios={
            ratio.activation: RatioMetrics(
                lr90=ratio.lr90.estimate,
                lr90_low=ratio.lr90.ci95[0],
                lr90_high=ratio.lr90.ci95[1],
                usable=(ratio.usable or NOTHING).estimate,
                usable_low=(ratio.usable or NOTHING).ci95[0],
                usable_high=(ratio.usable or NOTHING).ci95[1],
                exists=ratio.exists,
            )
            for ratio in ratios
        },
        claims={claim.id: claim.estimate for claim in claims if claim.estimate is not None},
    )
