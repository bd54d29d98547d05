"""Compares searches on a simulated cluster with faults with a search without faults.

python -m faults.cluster --seed 17                              one seed, with every event
python -m faults.cluster --seeds 20000 --output reports/reliability.json
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

import click
import optuna

from faults.report import CLUSTER, FaultCount, put
from faults.simulated_cluster import QUIET, DriverKilledError, Faults, SimulatedCluster
from lr_ceiling import Ceiling, find_ceiling
from lr_ceiling.errors import WorkerError
from lr_ceiling.search import acquisition, schedule
from lr_ceiling.search.posterior import Posterior

# One kind of fault alone, and at last all of them.
KINDS = (
    Faults(dies=0.3),
    Faults(hangs=0.2, returns_late=0.5),
    Faults(loses=0.2),
    Faults(repeats=0.5, disorder=1.0),
    Faults(is_other=0.5),
    Faults(has_other_data=0.5),
    Faults(lies=0.5),
    Faults(scheduler_goes=0.005),
    Faults(driver_dies=0.005),
    Faults(
        dies=0.1,
        hangs=0.05,
        loses=0.05,
        repeats=0.2,
        returns_late=0.5,
        is_other=0.2,
        has_other_data=0.1,
        lies=0.2,
        scheduler_goes=0.003,
        driver_dies=0.003,
        disorder=1.0,
    ),
)
# Searches of one journal, of which the last is quiet.
LIVES = 5
MEMORY = Path("/dev/shm")


def trains(rate: float, seed: int) -> bool:
    """Whether a simulated network trains; its edge is blurred, and nothing is computed."""
    return rate < (0.05, 0.1, 0.2)[seed % 3]


@contextmanager
def answered_once() -> Iterator[None]:
    """Ask the sampler each question once, since all searches of this module ask the same ones.

    Its answer depends on the question alone, as its own tests check. This makes a search ten times
    faster.
    """
    with ExitStack() as stack:
        for place, name in (
            (acquisition.Explorer, "posterior"),
            (acquisition.Explorer, "choose"),
            (acquisition.Explorer, "waits"),
            (schedule, "narrow_after"),
        ):
            stack.enter_context(mock.patch.object(place, name, _remembering(getattr(place, name))))
        yield


def _remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def remembered(*arguments: Any) -> Any:
        asked = repr([_question(one) for one in arguments])
        if asked not in known:
            known[asked] = function(*arguments)
        return known[asked]

    return remembered


def _question(argument: Any) -> Any:
    if isinstance(argument, acquisition.Explorer):
        return argument._key, argument._bounds
    return list(argument.observations) if isinstance(argument, Posterior) else argument


def asked(**more: Any) -> Ceiling:
    """A small search."""
    return find_ceiling(
        trains, low=0.01, high=1, budget=4, lag=3, confirmations=0, usable=False, progress=False,
        **more,
    )  # fmt: skip


@cache
def quiet() -> Ceiling:
    """The answer of a search without faults."""
    return asked(executor=SimulatedCluster(0))


@dataclass(frozen=True)
class Tried:
    """The faults of a seed, the errors that ended its search, and a difference of the answer."""

    happened: Counter[str]
    errors: tuple[str, ...]
    said: tuple[str, ...]
    difference: str | None


def search(seed: int) -> Tried:
    """Search on this seed's cluster; continue from the journal until there is an answer."""
    faults = KINDS[seed % len(KINDS)]
    happened: Counter[str] = Counter()
    errors: list[str] = []
    said: list[str] = []
    # A disk takes longer than the search.
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        for life in range(LIVES):
            last = life == LIVES - 1
            cluster = SimulatedCluster(LIVES * seed + life, 3, QUIET if last else faults)
            try:
                found = asked(executor=cluster, storage=Path(folder) / "study.journal")
            except (WorkerError, DriverKilledError) as error:
                errors.append(f"{type(error).__name__}: {error}")
            else:
                return Tried(happened, tuple(errors), tuple(said), _difference(found, errors))
            finally:
                happened += cluster.happened
                said += cluster.said
    return Tried(happened, tuple(errors), tuple(said), f"no answer: {errors[-1]}")


def _difference(found: Ceiling, errors: list[str]) -> str | None:
    # The answer follows from these; to compute it takes longer than the search.
    if (found.runs, found.parts) != (quiet().runs, quiet().parts):
        return f"its runs are {found.runs}, not {quiet().runs}"
    lines = [error for error in errors if "\n" in error]
    return f"an error of several lines: {lines[0]!r}" if lines else None


def replay(seed: int) -> str:
    """The command that repeats the search with this seed."""
    return f"python -m faults.cluster --seed {seed}"


@click.command()
@click.option("--seed", type=int, help="search with this seed alone, and print every event")
@click.option("--seeds", type=int, default=20_000, show_default=True, help="number of seeds")
@click.option("--output", type=click.Path(path_type=Path), help="report that gets the counts")
def main(seed: int | None, seeds: int, output: Path | None) -> None:
    """Search with each seed. The exit code is 1 if any answer differs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with answered_once():
        sys.exit(
            bool(_search_all(range(seeds) if seed is None else [seed], output, seed is not None))
        )


def _search_all(seeds: Iterable[int], output: Path | None, in_full: bool) -> int:
    tried_by, held_by = Counter[str](), Counter[str]()
    differing = searched = 0
    for number in seeds:
        searched += 1
        found = search(number)
        for fault in +found.happened:
            tried_by[fault] += 1
            held_by[fault] += found.difference is None
        if in_full:
            print(*map(str, found.happened.items()), *found.said, *found.errors, sep="\n")
        if found.difference is not None:
            differing += 1
            print(f"{found.difference}\n  {replay(number)}")
        if output is not None and (number + 1) % 500 == 0:
            write(output, tried_by, held_by)
    if output is not None:
        write(output, tried_by, held_by)
    print(f"{differing} of {searched} differ")
    return differing


def write(output: Path, tried_by: Counter[str], held_by: Counter[str]) -> None:
    """Put the counts into the report."""
    ours = [
        FaultCount(fault=fault, point=CLUSTER, tried=tried_by[fault], held=held_by[fault])
        for fault in tried_by
    ]
    put(output, ours, lambda row: row.point == CLUSTER)


if __name__ == "__main__":
    main()
