"""The ceilings of all arms, and how many times one is another."""

from collections.abc import Iterable, Mapping
from typing import Any

from lr_ceiling.evidence.records import Arm, Ratio, Study
from lr_ceiling.search.ceiling import TARGETS, Belief, ratio


def ceilings(studies: Iterable[Study], ratios: Iterable[Ratio]) -> dict[str, list[dict[str, Any]]]:
    """`ceilings.json`."""
    return {
        "arms": [study.model_dump(exclude={"key"}) for study in studies],
        "ratios": [ratio.model_dump() for ratio in ratios],
    }


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
