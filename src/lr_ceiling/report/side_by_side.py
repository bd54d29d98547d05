"""What the page shows side by side: the two networks of a cell, and a claim's activations."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from lr_ceiling.evidence.records import CellSummary, Claim
from lr_ceiling.mnist.specification import Activation
from lr_ceiling.report.words import bounded, in_points
from lr_ceiling.search.estimates import Estimate

# A claim's id: its kind, the activation, and the learning rate where it is of one.
OF_ACTIVATION = re.compile(rf"(.+?)-({'|'.join(get_args(Activation))})(?:-(.+))?")
# What a kind of claim says of batch norm.
SAYS = {
    "more-accurate": "ends more accurate",
    "faster": "gets to 95% in fewer steps",
    "faster-at-best": "gets to 95% in fewer steps, each network at its fastest learning rate",
    "better-results": "ends more accurate, each network at the learning rate that validation chose",
    "higher-learning-rate": "trains at higher learning rates",
    "bias-unnecessary": "needs no bias before it",
    "easier-initialisation": "learns from a wider range of initial kernels",
}
# Their statistics: differences of accuracies, and factors.
IN_POINTS = ("more-accurate", "better-results")
IN_TIMES = ("faster", "faster-at-best", "higher-learning-rate")


@dataclass(frozen=True)
class Twins:
    """The two networks of an activation and a learning rate; None where one was not trained."""

    activation: Activation
    learning_rate: float
    baseline: CellSummary | None
    batchnorm: CellSummary | None
    # That batch norm ends more accurate: their difference of test accuracy.
    claim: Claim | None


def twins(cells: Iterable[CellSummary], claims: Iterable[Claim]) -> list[Twins]:
    """The cells in pairs, in their order."""
    of_variant = {(one.activation, one.learning_rate, one.variant): one for one in cells}
    by_id = {claim.id: claim for claim in claims}
    return [
        Twins(
            activation,
            rate,
            of_variant.get((activation, rate, "baseline")),
            of_variant.get((activation, rate, "batchnorm")),
            by_id.get(f"more-accurate-{activation}-{rate:g}"),
        )
        for activation, rate in dict.fromkeys((one, rate) for one, rate, _ in of_variant)
    ]


@dataclass(frozen=True)
class ClaimRow:
    """What is claimed, with the claim of each activation that it was tested for.

    `alone` is a claim of no activation, and then the only one.
    """

    says: str
    claims: Mapping[Activation, Claim]
    alone: Claim | None = None


def claim_rows(claims: Iterable[Claim]) -> list[ClaimRow]:
    """The claims as rows of a table that has a column for each activation."""
    rows: dict[str, dict[Activation, Claim]] = {}
    alone = []
    for claim in claims:
        found = OF_ACTIVATION.fullmatch(claim.id)
        if not found or found[1] not in SAYS:
            alone.append(ClaimRow(claim.statement, {}, claim))
            continue
        says = SAYS[found[1]] + (f", learning rate {found[3]}" if found[3] else "")
        activation: Activation = found[2]  # type: ignore[assignment]
        rows.setdefault(says, {})[activation] = claim
    return [*(ClaimRow(says, of) for says, of in rows.items()), *alone]


def activations_of(rows: Iterable[ClaimRow]) -> list[Activation]:
    """The columns of such a table."""
    return list(dict.fromkeys(activation for row in rows for activation in row.claims))


def claim_figures(claim: Claim) -> str:
    """A claim's estimate with its 95% interval, in points, times or plain numbers."""
    found = OF_ACTIVATION.fullmatch(claim.id)
    kind = found[1] if found else ""
    estimate = Estimate(estimate=claim.estimate, ci95=claim.ci95)
    if kind in IN_POINTS:
        return bounded(estimate, in_points, " points")
    return bounded(estimate, unit=" times" if kind in IN_TIMES else "")


def difference(claim: Claim | None) -> str:
    """A difference of accuracies in points with its 95% interval, `-` without a claim on it."""
    if claim is None:
        return "-"
    return bounded(Estimate(estimate=claim.estimate, ci95=claim.ci95), in_points)
