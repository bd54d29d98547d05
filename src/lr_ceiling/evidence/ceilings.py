"""The ceilings of all arms, and how many times one is another."""

from collections.abc import Mapping

from lr_ceiling.evidence.records import Arm, ArmCeilings, Ratio, Study, Theory
from lr_ceiling.search.ceiling import TARGETS, Belief, ratio


def with_theory(study: Study, theory: Theory) -> ArmCeilings:
    """An arm of ceilings.json."""
    found = {name: getattr(study, name) for name in Study.model_fields if name != "key"}
    return ArmCeilings(**found, theory=theory)


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
