"""Simulate studies of networks whose ceilings are known: coverage, bias, and what others need."""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np

from lr_ceiling.errors import one_line_errors
from lr_ceiling.execution.executor import cores
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.identity import digest_of, versions
from lr_ceiling.pipeline.terminal import console, print_table
from lr_ceiling.search.posterior import Floats
from lr_ceiling.simulation.oracles import (
    CAP,
    ORACLES,
    PEERS,
    Oracle,
    cost_of_error,
    error_of,
    errors_by_cost,
    interval_of_cost,
    study,
    summarise,
)

# Studies of a peer's configuration that choose it, and that then measure the chosen one.
CHOOSING, MEASURING = 30, 100


@click.command()
@click.option("--studies", default=1000, show_default=True, help="of each oracle")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="of what is done")
@one_line_errors
def main(studies: int, output: Path, state: Path) -> None:
    """Simulate; a simulation that was stopped goes on with the oracle where it was."""
    folder = state / digest_of(versions(("numpy", "optuna", "scipy")))
    found = []
    with ProcessPoolExecutor(cores(), get_context("spawn")) as executor:
        for oracle in ORACLES:
            path = folder / f"{oracle.name}-{studies}.json"
            if not path.exists():
                write_json(path, simulate(oracle, studies, executor))
            found.append(read_json(path))
            console.print(in_short(found[-1]), highlight=False)
    write_json(output, {"oracles": found})
    print_table("our search", OURS, map(row, found))
    print_table("full runs until the error is as small", OTHERS, map(peers_row, found))


def simulate(oracle: Oracle, studies: int, executor: Executor) -> dict[str, Any]:
    """An oracle of `simulation.json`."""
    ours = summarise(oracle, _each(executor, _study, range(studies), oracle.name))
    peers = [measure(oracle, name, ours, executor) for name in PEERS]
    return ours | {"peers": peers}


def measure(oracle: Oracle, name: str, ours: dict[str, Any], executor: Executor) -> dict[str, Any]:
    """What a peer, in its best configuration, spends until its median error equals ours.

    The configuration is chosen on other seeds than it is measured on.
    """
    error = ours["error_decades"]

    def merit(configuration: str) -> tuple[float, float]:
        # Of those that never get there, the one that ends nearest.
        errors = _errors(executor, oracle, name, configuration, range(CHOOSING))
        return cost_of_error(errors, error) or np.inf, error_of(errors[:, -1].tolist())

    best = min(PEERS[name], key=merit)
    seeds = range(CHOOSING, CHOOSING + MEASURING)
    errors = _errors(executor, oracle, name, best, seeds)
    cost = cost_of_error(errors, error)
    ratio = None if cost is None else round(cost / ours["full_run_equivalents"], 2)
    return {
        "name": name,
        "configuration": best,
        "full_run_equivalents": cost,
        "full_run_equivalents_ci95": interval_of_cost(errors, error),
        # Null where it never got there: then it is above `at_least`.
        "steps_ratio_at_equal_error": ratio,
        "at_least": round(CAP / ours["full_run_equivalents"], 2) if cost is None else ratio,
    }


def in_short(oracle: dict[str, Any]) -> str:
    """An oracle's line while the others run."""
    return (
        f"{oracle['name']}: lr90's interval covers the truth in {oracle['coverage_lr90']:.1%} of "
        f"{oracle['studies']} studies of {oracle['full_run_equivalents']:.1f} full runs"
    )


OURS = (
    "oracle", "covers lr50", "covers lr90", "bias", "error", "interval", "trials", "full runs",
)  # fmt: skip
OTHERS = ("oracle", "error", "ours", *PEERS)


def row(oracle: dict[str, Any]) -> Sequence[str]:
    """What our search gave on an oracle, in decades and full runs: a row under OURS."""
    return (
        oracle["name"],
        f"{oracle['coverage_lr50']:.1%}",
        f"{oracle['coverage_lr90']:.1%}",
        # Adding 0 makes 0 of -0.
        f"{round(oracle['bias_decades'], 3) + 0:+.3f}",
        f"{oracle['error_decades']:.3f}",
        f"{oracle['interval_decades']:.2f}",
        f"{oracle['trials']:.1f}",
        f"{oracle['full_run_equivalents']:.1f}",
    )


def peers_row(oracle: dict[str, Any]) -> Sequence[str]:
    """What others spend on an oracle until their error is ours: a row under OTHERS."""
    return (
        oracle["name"],
        f"{oracle['error_decades']:.3f}",
        f"{oracle['full_run_equivalents']:.1f}",
        *map(_spent, oracle["peers"]),
    )


def _spent(peer: dict[str, Any]) -> str:
    cost, (low, high) = peer["full_run_equivalents"], peer["full_run_equivalents_ci95"]
    above = "> " if cost is None else ""
    spread = f" ({low} to {high or f'> {CAP}'})" if low else ""
    return (
        f"{above}{cost or CAP}{spread} = {above}{peer['at_least']:.1f} x, {peer['configuration']}"
    )


def markdown(oracles: Sequence[dict[str, Any]]) -> list[str]:
    """Both tables as lines of Markdown, for docs/simulation.md."""
    rows = [*map(row, oracles), *map(peers_row, oracles)]
    return [f"| {' | '.join(cells)} |" for cells in rows]


def _errors(
    executor: Executor, oracle: Oracle, name: str, configuration: str, seeds: range
) -> Floats:
    return np.stack(_each(executor, _peer, seeds, oracle.name, name, configuration))


def _each(executor: Executor, one: Callable[..., Any], seeds: range, *named: str) -> list[Any]:
    # Names travel to other processes; an oracle's curve, which is a function, does not.
    return list(executor.map(one, seeds, *map(itertools.repeat, named), chunksize=10))


def _oracle(name: str) -> Oracle:
    return next(oracle for oracle in ORACLES if oracle.name == name)


def _study(seed: int, oracle: str) -> dict[str, float]:
    return study(_oracle(oracle), seed)


def _peer(seed: int, oracle: str, name: str, configuration: str) -> Floats:
    return errors_by_cost(_oracle(oracle), PEERS[name][configuration], seed)


if __name__ == "__main__":
    main()
