"""Simulate studies of networks with known ceilings: coverage, bias, and a comparison of methods."""

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.execution.executor import cores
from lr_ceiling.pipeline.one_writer import one_writer
from lr_ceiling.pipeline.terminal import console, print_table
from lr_ceiling.report.schemas import SimulationReport
from lr_ceiling.simulation.graded import GRADED
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.rows import OTHERS, OURS, in_short, peers_row, row
from lr_ceiling.simulation.scores import OracleResult
from lr_ceiling.simulation.scoring import is_current, simulate


@click.command()
@click.option(
    "--studies",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="studies per network",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@one_line_errors
@one_writer
def main(studies: int, output: Path) -> None:
    """Simulate all oracles. Oracles that the report holds unchanged are not simulated again."""
    found = {oracle.name: oracle for oracle in SimulationReport.known(output)}
    with ProcessPoolExecutor(cores(), get_context("spawn")) as executor:
        for oracle in (*ORACLES, *GRADED):
            before = found.get(oracle.name)
            if not before or not is_current(before, oracle, studies, executor):
                found[oracle.name] = simulate(oracle, studies, executor)
                report_of(found).write(output)
            console.print(in_short(found[oracle.name]), highlight=False)
    report = report_of(found)
    report.write(output)
    print_table("our search", OURS, map(row, report.oracles))
    compared = [oracle for oracle in report.oracles if oracle.peers]
    print_table("full runs until the error is as small", OTHERS, map(peers_row, compared))


def report_of(found: Mapping[str, OracleResult]) -> SimulationReport:
    """The report of the existing oracles, in their order."""
    results = (found.get(oracle.name) for oracle in (*ORACLES, *GRADED))
    return SimulationReport(oracles=tuple(result for result in results if result))


if __name__ == "__main__":
    main()
