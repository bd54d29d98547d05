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
from lr_ceiling.simulation.kept import KeptStudies
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.peers import PEERS
from lr_ceiling.simulation.rows import OTHERS, OURS, in_short, peers_row, row
from lr_ceiling.simulation.scores import OracleResult
from lr_ceiling.simulation.scoring import compared, digest_now, simulate
from lr_ceiling.simulation.studies import same_search


@click.command()
@click.option(
    "--studies",
    type=click.IntRange(min=2),
    default=1000,
    show_default=True,
    help="studies per network",
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="the folder that keeps the studies",
)
@one_line_errors
@one_writer
def main(studies: int, output: Path, state: Path) -> None:
    """Simulate all oracles by our search, then by other methods.

    Oracles that the report holds unchanged are not simulated again, and neither are studies in
    STATE. So a command that was stopped continues, and a few studies can become many.
    """
    found = {oracle.name: oracle for oracle in SimulationReport.known(output)}

    def keep(result: OracleResult, told: str) -> None:
        found[result.name] = result
        report_of(found).write(output)
        console.print(told, highlight=False)

    with ProcessPoolExecutor(cores(), get_context("spawn")) as executor:
        for oracle in (*ORACLES, *GRADED):
            before, digest = found.get(oracle.name), digest_now(oracle, executor)
            if not (
                before and before.studies == studies and same_search(digest, before.digest or "")
            ):
                kept = KeptStudies(state / f"{oracle.name}.json", digest)
                ours = simulate(oracle, studies, executor, kept)
                keep(ours, in_short(ours))
        for oracle in ORACLES:
            ours = found[oracle.name]
            # A network without an lr90 has no error of it.
            if ours.error_decades is not None and not ours.peers:
                told = f"{oracle.name}: compared with {len(PEERS)} other methods"
                keep(compared(oracle, ours, executor), told)
    report = report_of(found)
    report.write(output)
    print_table("our search", OURS, map(row, report.oracles))
    with_peers = [oracle for oracle in report.oracles if oracle.peers]
    print_table("full runs until the error is as small", OTHERS, map(peers_row, with_peers))


def report_of(found: Mapping[str, OracleResult]) -> SimulationReport:
    """The report of the existing oracles, in their order."""
    results = (found.get(oracle.name) for oracle in (*ORACLES, *GRADED))
    return SimulationReport(oracles=tuple(result for result in results if result))


if __name__ == "__main__":
    main()
