"""The claims of the post that need additional runs, and these runs.

They are more seeds of the grid, more activations, and other scales of the initial weights: two
hundred runs that no stage needs, so that `dvc repro` stays short.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, product
from typing import get_args

from lr_ceiling.evidence.claims import claims_of, more_activations, viability
from lr_ceiling.evidence.comparison import all_more_accurate, summarise_cell
from lr_ceiling.evidence.initialisation import (
    BUDGET,
    SIGN,
    edge_searches,
    initialisation_claims,
    initialisation_of,
    search_all,
)
from lr_ceiling.evidence.records import Arm, CellSummary, Claim, Initialisation, Viability
from lr_ceiling.evidence.runs import RunSource
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.rounding import short

# Seeds per cell of the grid: the sign test's interval of a median of 12 excludes two at each end.
SEEDS = 12
# Number of seeds after which the viability of a cell is seldom in doubt.
VIABLE_SEEDS = 4
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "tanh", "relu", "elu", "softsign")
# The post's two learning rates; initial scales are searched at the first.
RATES = (0.001, 0.01)

Cell = tuple[Variant, Activation, float]


@dataclass(frozen=True)
class KnownClaims:
    """The tested claims, and their evidence."""

    claims: tuple[Claim, ...] = ()
    grid: tuple[CellSummary, ...] = ()
    cells: tuple[Viability, ...] = ()
    initialisation: tuple[Initialisation, ...] = ()

    def with_claims(self, claims: Iterable[Claim]) -> "KnownClaims":
        """The same with these claims, which replace those with the same id or are appended."""
        by_id = {claim.id: claim for claim in (*self.claims, *claims)}
        return replace(self, claims=tuple(by_id.values()))


class ClaimTests:
    """The tests of the claims about a grid: their runs and results."""

    def __init__(self, template: RunSpec, cells: Sequence[Cell], seeds: Sequence[int]) -> None:
        """`template` is any run of the grid; `seeds` are the seeds of its cells."""
        self._template = template.model_copy(update={"learning_rate": RATES[0]})
        seeds = seeds_from(seeds)
        self._cells = cells_of(template, cells, seeds)
        self._activations = activation_cells(template, seeds[:VIABLE_SEEDS])
        self._arms: list[Arm] = list(dict.fromkeys((variant, of) for variant, of, _ in cells))

    @property
    def runs(self) -> int:
        """The maximum number of runs of the tests."""
        groups = (*self._cells.values(), *self._activations)
        fixed = {spec for specs in groups for spec in specs}
        return len(fixed) + int(BUDGET) * len(SIGN) * len(self._arms)

    def run(self, source: RunSource, known: KnownClaims) -> Iterator[KnownClaims]:
        """Test part by part; after each, yield its results and the `known` ones of the others."""
        cells = source.of_all(list(self._cells.values()), test=True)
        results = dict(zip(self._cells, cells, strict=True))
        claims = [*all_more_accurate(results), *claims_of(results, [], {})]
        grid = tuple(map(summarise_cell, cells))
        yield (found := replace(known, grid=grid).with_claims(claims))
        viabilities = tuple(viability(runs) for runs in source.of_all(self._activations))
        found = replace(found, cells=viabilities).with_claims([more_activations(viabilities)])
        yield found
        searches = edge_searches(self._template, self._arms, results)
        search_all([one for pair in searches.values() for one in pair], source.of)
        claims = initialisation_claims(searches, self._template.learning_rate)
        scales = tuple(initialisation_of(*pair) for pair in searches.values())
        yield replace(found, initialisation=scales).with_claims(claims)


def seeds_from(seeds: Sequence[int]) -> list[int]:
    """The grid's seeds and the next integers, SEEDS in total, or all of the grid's if more."""
    others = (number for number in count() if number not in seeds)
    return [*seeds, *islice(others, max(SEEDS - len(seeds), 0))]


def cells_of(
    template: RunSpec, cells: Iterable[Cell], seeds: Sequence[int]
) -> dict[Cell, list[RunSpec]]:
    """The runs of each of these cells."""
    return {cell: _seeded(template, cell, seeds) for cell in cells}


def activation_cells(template: RunSpec, seeds: Sequence[int]) -> list[list[RunSpec]]:
    """The runs of both variants with each activation at each learning rate."""
    cells = product(get_args(Variant), ACTIVATIONS, RATES)
    return [_seeded(template, cell, seeds) for cell in cells]


def in_words(run: RunSummary) -> str:
    """The result of a run, in words."""
    scale = "" if run.spec.init_scale == 1 else f", initial scale {short(run.spec.init_scale, 3)}"
    # The accuracy that the label was decided by.
    return f"{run.spec.name}{scale}: {run.label} at accuracy {run.accuracy_by_weights:.3f}"


def _seeded(template: RunSpec, cell: Cell, seeds: Iterable[int]) -> list[RunSpec]:
    variant, activation, rate = cell
    common = {"variant": variant, "activation": activation, "learning_rate": float(rate)}
    return [template.model_copy(update={**common, "seed": seed}) for seed in seeds]
