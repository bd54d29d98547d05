"""Which figures a report has."""

from collections.abc import Sequence
from pathlib import Path

from lr_ceiling.evidence.comparison import around
from lr_ceiling.evidence.records import VerifiedArm, network
from lr_ceiling.report import figures
from lr_ceiling.report.findings import Findings, Runs, name_of


def draw(folder: Path, found: Findings, verified: Sequence[VerifiedArm]) -> list[str]:
    """Draw the figures of what was found into `folder`; returns their names.

    `verified` has the range tests that fresh seeds were held against.
    """
    searches = list(found.searches.values())
    measured = {arm: one.measurement for arm, one in found.pools.items()}
    drawings = {
        "ceilings": figures.ceilings_of_arms(measured, found.ratios),
        "probability": figures.probability_of_arms(
            found.studies,
            [search.belief for search in searches],
            [search.trials for search in searches],
        ),
        "trials": figures.trials_of_arms(
            {name_of(arm): search.trials for arm, search in found.searches.items()}
        ),
    }
    for name, pair in found.pairs.items():
        title = pair_title(next(iter(pair.values())))
        drawings[f"curves-{name}"] = figures.pair_of_curves(pair, title)
    for arm, search in found.searches.items():
        if search.edge:
            nearest = around(search.trials, search.edge)
            drawings[f"edge-{name_of(arm)}"] = figures.around_the_edge(
                nearest, network(search.study)
            )
    by_arm = {(one.variant, one.activation): one.finders for one in verified}
    tried = {arm: by_arm[arm] for arm in measured if by_arm.get(arm)}
    if tried:
        drawings["range-tests"] = figures.range_tests_of_arms(measured, tried)
    if found.normalised:
        drawings["modes"] = figures.training_and_inference(found.normalised)
    for name, figure in drawings.items():
        figures.save(figure, folder / name)
    return list(drawings)


def pair_title(runs: Runs) -> str:
    """What the runs of a pair have in common, in words."""
    spec = runs[0].spec
    return f"{spec.activation}, learning rate {spec.learning_rate:g}, {len(runs)} seeds"
