"""The claims that a report holds: from the pipeline's own runs, or from more of them."""

from collections import Counter
from collections.abc import Iterable

from lr_ceiling.evidence.claims import bias_unnecessary, claims_of
from lr_ceiling.evidence.comparison import all_more_accurate
from lr_ceiling.evidence.family import together
from lr_ceiling.evidence.records import Claim
from lr_ceiling.mnist.specification import Activation
from lr_ceiling.report.findings import Findings


def claims(found: Findings) -> list[Claim]:
    """What grid, searches and theory say of every claim."""
    biases = [
        bias_unnecessary(activation, critical["bias"])
        for (variant, activation), critical in found.critical.items()
        if variant == "batchnorm"
    ]
    tested = claims_of(found.cells, found.ratios, runs_of(found))
    return [*all_more_accurate(found.cells), *tested, *biases]


def updated(claims: Iterable[Claim], tested: Iterable[Claim]) -> list[Claim]:
    """The claims as one family, those of more runs in the place of the same id, or after them."""
    return together({claim.id: claim for claim in (*claims, *tested)}.values())


def runs_of(found: Findings) -> dict[Activation, int]:
    """How many runs the ratio of an activation's ceilings rests on."""
    runs: Counter[Activation] = Counter()
    for (_, activation), pool in found.pools.items():
        runs[activation] += sum(map(len, pool.fresh.values()))
    return dict(runs)
