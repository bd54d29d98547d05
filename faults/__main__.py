"""`python -m faults`: try every fault at every point, and count the passes. It can be stopped."""

import contextlib
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import click

from faults import inject
from faults.campaign import OF_FILES, Campaign, Point, Tally
from faults.disks import Disks, may_mount, namespace
from faults.report import CLUSTER, FaultCount, put
from faults.signals import FIND, Searches
from faults.signals import points as moments
from faults.stages import STAGES, search
from lr_ceiling.errors import one_line_errors
from lr_ceiling.identity import digest_of

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--output", type=FILE, default="reports/reliability.json", show_default=True)
@click.option("--tally", type=FILE, default="state/faults/tally.jsonl", show_default=True)
@click.option(
    "--minutes",
    type=float,
    default=float("inf"),
    help="stop after this time; default: try everything",
)
@click.option(
    "--every", type=click.IntRange(1), default=1, help="try every Nth operation; default: 1"
)
@click.option(
    "--stage",
    "asked",
    type=click.Choice([*STAGES, FIND]),
    multiple=True,
    help="only these stages; find is the killed searches; default: all",
)
@click.option("--kills", default=50, show_default=True, help="random moments per kind of kill")
@click.option("--disks/--no-disks", default=True, help="also try real disks, small and read-only")
@one_line_errors
def main(
    output: Path,
    tally: Path,
    minutes: float,
    every: int,
    asked: tuple[str, ...],
    kills: int,
    disks: bool,
) -> None:
    """Run a small pipeline once for every N, and let its Nth operation on the disk fail.

    The results are kept in a file, so the same command continues after an interruption.
    """
    known = Tally(tally)
    end = time.monotonic() + 60 * minutes
    if set(asked) != {FIND}:
        if not inject.preloaded():
            # In a namespace of its own it may mount disks.
            inject.start_anew(Path("state/faults"), namespace())
        try_stages(asked, every, disks, known, end)
    if kills and (not asked or FIND in asked):
        try_all(list(moments(kills)), Searches(), known, end)

    def is_ours(row: FaultCount) -> bool:
        return row.point != CLUSTER and (not asked or row.point.partition(":")[0] in asked)

    counts = [row for row in map(FaultCount.model_validate, known.rows) if is_ours(row)]
    put(output, counts, is_ours)
    tried = sum(row.tried for row in counts)
    click.echo(f"{tried} tried, {sum(row.held for row in counts)} held: {output}")
    if known.broken:
        sys.exit(1)


def try_stages(asked: tuple[str, ...], every: int, disks: bool, known: Tally, end: float) -> None:
    """Try the points of the stages: each operation, and real disks."""
    with tempfile.TemporaryDirectory(prefix="lr-ceiling-faults-") as folder:
        prepare_searches(Path(folder) / "search")
        database = make_database(Path(folder) / "empty") if needs_mlflow(asked) else None
        campaign = Campaign(Path(folder) / "campaign", database)
        every_point = campaign.points(lambda stage: every)
        # Mixed, so that a part of them is a sample of all.
        mixed = sorted(every_point, key=lambda one: digest_of(one.stage, one.fault, one.at))
        try_all([one for one in mixed if not asked or one.stage in asked], campaign, known, end)
        if disks and may_mount():
            own = Disks(campaign)
            points = [one for one in own.points() if not asked or one.stage in asked]
            try_all(points, own, known, end)
        elif disks:
            click.echo("skipped: disks of their own, which can't be mounted here")


class Tries(Protocol):
    """A campaign: it tries points one by one."""

    def wrong(self, point: Point) -> str | None:
        """The promise that was broken at a point; None if all were kept."""


def try_all(points: Sequence[Point], tries: Tries, known: Tally, end: float) -> None:
    """Try the points without a result yet, until the monotonic clock reaches `end`."""
    new = [point for point in points if point not in known]
    for done, point in enumerate(new, 1):
        if time.monotonic() > end:
            return
        wrong = tries.wrong(point)
        known.add(point, wrong)
        if wrong:
            click.echo(f"{point}: {wrong}")
        if done % 100 == 0:
            click.echo(f"{done} of {len(new)}")


def needs_mlflow(asked: tuple[str, ...]) -> bool:
    """Whether one of the chosen stages uses MLflow."""
    return not asked or not set(asked) <= {*OF_FILES, FIND}


def prepare_searches(folder: Path) -> None:
    """Search once here, so that forked processes inherit the grid and its edges, which take 2 s.

    A warning would be an error: Python shows it once, and so not in the forked processes.
    """
    folder.mkdir()
    with contextlib.chdir(folder), warnings.catch_warnings():
        warnings.simplefilter("error")
        search()


def make_database(folder: Path) -> Path:
    """Make an empty MLflow database once, because its migrations take 3 s."""
    # Before the fork, so that no try has to import it. Mapping MLflow's tables takes 1 s.
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    from sqlalchemy.orm import configure_mappers

    import lr_ceiling.live.registry  # noqa: F401

    configure_mappers()

    def make() -> None:
        from lr_ceiling.tracking import open_store

        with open_store():
            pass

    folder.mkdir()
    made = inject.attempt(make, folder)
    if made.code != inject.FINISHED:
        raise RuntimeError(made.said)
    return folder / "mlruns" / "mlflow.db"


if __name__ == "__main__":
    main()
