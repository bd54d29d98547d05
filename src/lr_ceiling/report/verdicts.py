"""The claims that a report holds: from the pipeline's own runs, or from more of them."""

from collections import Counter
from collections.abc import Iterable

from lr_ceiling.evidence.claims import bias_unnecessary, claims_of
from lr_ceiling.evidence.comparison import all_more_accurate
from lr_ceiling.evidence.family import together
from lr_ceiling.evidence.records import Claim, Study
from lr_ceiling.mnist.specification import Activation
from lr_ceiling.report.findings import Findings


def claims(found: Findings) -> list[Claim]:
    """What grid, searches and theory say of every claim."""
    biases = [
        bias_unnecessary(activation, critical["bias"])
        for (variant, activation), critical in found.critical.items()
        if variant == "batchnorm"
    ]
    tested = claims_of(found.cells, found.ratios, trials_of(found.studies))
    return [*all_more_accurate(found.cells), *tested, *biases]


def updated(claims: Iterable[Claim], tested: Iterable[Claim]) -> list[Claim]:
    """The claims as one family, those of more runs in the place of the same id, or after them."""
    return together({claim.id: claim for claim in (*claims, *tested)}.values())


def trials_of(studies: Iterable[Study]) -> dict[Activation, int]:
    """How many trials the ratio of an activation's ceilings rests on."""
    trials: Counter[Activation] = Counter()
    for study in studies:
        trials[study.activation] += study.trials
    return dict(trials)
