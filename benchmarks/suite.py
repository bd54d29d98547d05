"""The wall time of the test suite: `python -m benchmarks.suite`, on an idle machine.

Runs `make test` three times and puts the row `suite-wall` into reports/benchmark.json.
"""

import subprocess
import time

import click

from benchmarks.places import REPORT, ROOT
from benchmarks.rows import HEADER, against_bar, cells, write_report
from lr_ceiling.pipeline.terminal import print_table

# Seconds on two cores.
ID, BAR = "suite-wall", 360.0


@click.command()
@click.option("--repeats", default=3, show_default=True)
def main(repeats: int) -> None:
    """Time the suite, and write the row."""
    row = against_bar(ID, [seconds() for _ in range(repeats)], BAR, "s")
    print_table("the suite", HEADER, [cells(row.as_json())])
    write_report(REPORT, [row])


def seconds() -> float:
    """Wall time of one `make test`, which must pass."""
    began = time.perf_counter()
    if subprocess.run(["make", "test"], cwd=ROOT).returncode:
        raise click.ClickException("the suite fails: mend it before it is timed")
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
