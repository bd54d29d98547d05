"""The claims of a report as one family: the verdicts that hold if all are tested together.

With twenty claims at 5% each, chance alone decides at least one claim more often than not. Holm's
step-down procedure (1979) bounds the probability of any such error at 5%, whatever the dependence
between the claims.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from lr_ceiling.evidence.comparison import CONFIDENCE
from lr_ceiling.evidence.records import Claim

DECIDES = ("supported", "not supported")


def together(claims: Iterable[Claim]) -> list[Claim]:
    """The claims, each with its joint verdict in this family."""
    found = list(claims)
    tested = [claim for claim in found if claim.p_value is not None]
    adjusted = holm([claim.p_value for claim in tested if claim.p_value is not None])
    holds = {
        claim.id: p <= 1 - CONFIDENCE
        for claim, p in zip(tested, adjusted, strict=True)
        if claim.verdict in DECIDES
    }
    return [claim.model_copy(update={"holds_together": holds.get(claim.id)}) for claim in found]


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the given order."""
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.array(p_values)[order] * np.arange(count, 0, -1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1)
    return adjusted.tolist()
