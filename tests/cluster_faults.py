"""Searches on a cluster on which things go wrong, held against a quiet one.

python tests/cluster_faults.py --seed 17                              one seed, told in full
python tests/cluster_faults.py --seeds 20000 --output reports/reliability.json
"""

import json
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import optuna

from lr_ceiling import Ceiling, find_ceiling
from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.files import write_json
from simulated_cluster import QUIET, DriverKilledError, Faults, SimulatedCluster

# One kind of fault alone, and at last all of them.
KINDS = (
    Faults(dies=0.3),
    Faults(hangs=0.2, returns_late=0.5),
    Faults(loses=0.2),
    Faults(repeats=0.5, disorder=1.0),
    Faults(is_other=0.5),
    Faults(has_other_data=0.5),
    Faults(lies=0.5),
    Faults(scheduler_goes=0.02),
    Faults(driver_dies=0.02),
    Faults(
        dies=0.1,
        hangs=0.05,
        loses=0.05,
        repeats=0.2,
        returns_late=0.5,
        is_other=0.2,
        has_other_data=0.1,
        lies=0.2,
        scheduler_goes=0.01,
        driver_dies=0.01,
        disorder=1.0,
    ),
)
# Searches of one journal, of which the last is quiet.
LIVES = 5
# In which part of the system our rows of the report are.
POINT = "search on a cluster, simulated"


def trains(rate: float, seed: int) -> bool:
    """Whether a network whose edge is blurred would train; it computes nothing."""
    return rate < 0.1 * 2 ** (seed % 3 - 1)


def asked(**more: Any) -> Ceiling:
    """A small search."""
    return find_ceiling(
        trains, low=0.01, high=1, budget=4, lag=3, confirmations=0, usable=False, progress=False,
        **more,
    )  # fmt: skip


def tried(ceiling: Ceiling) -> list[tuple[float, int, bool]]:
    """Its runs."""
    return [(run.learning_rate, run.seed, run.outcome.stable) for run in ceiling.runs]


@cache
def quiet() -> Ceiling:
    """What is said where nothing goes wrong."""
    return asked(executor=SimulatedCluster(0))


@dataclass(frozen=True)
class Tried:
    """What went wrong under a seed, in how many errors it ended, and how the answer differs."""

    happened: Counter[str]
    errors: tuple[str, ...]
    said: tuple[str, ...]
    difference: str | None


def search(seed: int) -> Tried:
    """Search on a cluster of this seed, from one journal, until an answer is there."""
    faults = KINDS[seed % len(KINDS)]
    happened: Counter[str] = Counter()
    errors: list[str] = []
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
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
    if tried(found) != tried(quiet()):
        return f"its runs are {tried(found)}, not {tried(quiet())}"
    if found.to_json() != quiet().to_json():
        return f"the answer is {found.to_json()}, not {quiet().to_json()}"
    lines = [error for error in errors if "\n" in error]
    return f"an error of several lines: {lines[0]!r}" if lines else None


def replay(seed: int) -> str:
    """The command that searches with this seed again."""
    return f"python tests/cluster_faults.py --seed {seed}"


@click.command()
@click.option("--seed", type=int, help="this one alone, told in full")
@click.option("--seeds", type=int, default=20_000, show_default=True, help="how many")
@click.option("--output", type=click.Path(path_type=Path), help="the report that gets the counts")
def main(seed: int | None, seeds: int, output: Path | None) -> None:
    """Search with each seed; exit code 1 where any answer differs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    tried_by, held_by, differing = Counter[str](), Counter[str](), 0
    for number in range(seeds) if seed is None else [seed]:
        found = search(number)
        for fault in +found.happened:
            tried_by[fault] += 1
            held_by[fault] += found.difference is None
        if seed is not None:
            print(*map(str, found.happened.items()), *found.said, *found.errors, sep="\n")
        if found.difference is not None:
            differing += 1
            print(f"{found.difference}\n  {replay(number)}")
        if output is not None and (number + 1) % 500 == 0:
            write(output, tried_by, held_by)
    if output is not None:
        write(output, tried_by, held_by)
    print(f"{differing} of {1 if seed is not None else seeds} differ")
    sys.exit(bool(differing))


def write(output: Path, tried_by: Counter[str], held_by: Counter[str]) -> None:
    """Put the counts into the report; what others have written there stays."""
    before = json.loads(output.read_text())["faults"] if output.exists() else []
    others = [row for row in before if row["point"] != POINT]
    ours = [
        {"fault": fault, "point": POINT, "tried": tried_by[fault], "held": held_by[fault]}
        for fault in sorted(tried_by)
    ]
    write_json(output, {"faults": [*others, *ours]})


if __name__ == "__main__":
    main()
