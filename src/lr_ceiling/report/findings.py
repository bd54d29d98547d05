"""What the stages before the report found: runs by cell, searches by arm."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from lr_ceiling.evidence import ceilings
from lr_ceiling.evidence.pooling import Pool, pool
from lr_ceiling.evidence.records import (
    Arm,
    Ratio,
    RunTable,
    Study,
    read_belief,
    read_study,
)
from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.search.estimates import Belief

Runs = Sequence[RunResult]
Cell = tuple[Variant, Activation, float]


def name_of(place: Cell | Arm) -> str:
    """The name of a cell or an arm, as dvc.yaml's matrix makes it."""
    return "-".join(map(str, place))


@dataclass(frozen=True)
class Search:
    """What the search of an arm left."""

    study: Study
    belief: Belief
    trials: Runs

    @classmethod
    def read(cls, folder: Path) -> "Search":
        """Read the folder that the `search` stage wrote."""
        return cls(
            read_study(folder / "study.json"),
            read_belief(folder / "posterior.json"),
            read_runs(folder / "runs.json"),
        )

    @property
    def edge(self) -> float | None:
        """The learning rate around which runs begin to die; None where none was stable."""
        return self.study.lr50.estimate or self.study.highest_stable


@dataclass(frozen=True)
class Findings:
    """The runs of each cell, the search of each arm, and its critical learning rates."""

    cells: Mapping[Cell, Runs]
    searches: Mapping[Arm, Search]
    critical: Mapping[Arm, Mapping[str, Any]]
    # Runs of fresh seeds at the ceilings.
    verification: Sequence[RunTable] = ()

    @classmethod
    def read(
        cls,
        cells: Sequence[Cell],
        arms: Sequence[Arm],
        train: Path,
        search: Path,
        theory: Path,
        verification: Sequence[RunTable] = (),
    ) -> "Findings":
        """Read what the stages wrote of these cells and arms into their folders."""
        return cls(
            {cell: read_runs(train / name_of(cell) / "runs.json") for cell in cells},
            {arm: Search.read(search / name_of(arm)) for arm in arms},
            {arm: read_json(theory / f"{name_of(arm)}.json") for arm in arms},
            verification,
        )

    @property
    def spec(self) -> RunSpec:
        """A run's specification, for what all of them share."""
        return next(iter(self.cells.values()))[0].spec

    @property
    def studies(self) -> list[Study]:
        """The arms' studies."""
        return [search.study for search in self.searches.values()]

    @property
    def runs(self) -> list[RunResult]:
        """All runs: the cells', then the trials."""
        trials = (search.trials for search in self.searches.values())
        return [*chain(*self.cells.values()), *chain(*trials)]

    @cached_property
    def pools(self) -> dict[Arm, Pool]:
        """All runs of each arm that the same engine made."""
        cells = [run for runs in self.cells.values() for run in runs]
        return {
            arm: pool(search.study, search.trials, self.verification, cells)
            for arm, search in self.searches.items()
        }

    @cached_property
    def ratios(self) -> list[Ratio]:
        """How many times the baseline's ceilings batch norm's are, by all their runs."""
        return ceilings.ratios({arm: one.measurement for arm, one in self.pools.items()})

    @property
    def pairs(self) -> dict[str, dict[Variant, Runs]]:
        """The variants of each activation and learning rate, side by side, by their name."""
        found: dict[str, dict[Variant, Runs]] = {}
        for (variant, activation, rate), runs in self.cells.items():
            found.setdefault(f"{activation}-{rate}", {})[variant] = runs
        return found

    @property
    def normalised(self) -> dict[str, Runs]:
        """The cells with batch norm, by their title."""
        return {
            f"{activation}, learning rate {rate:g}": runs
            for (variant, activation, rate), runs in self.cells.items()
            if variant == "batchnorm"
        }
