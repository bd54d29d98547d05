"""`python -m faults`: try every fault at every point, and write what held. It can be stopped."""

import sys
import tempfile
import time
from pathlib import Path

import click

from faults import inject
from faults.campaign import OF_FILES, Campaign, Tally
from faults.report import CLUSTER, FaultCount, put
from faults.signals import Searches
from faults.signals import points as moments
from faults.stages import STAGES
from lr_ceiling.errors import one_line_errors
from lr_ceiling.identity import digest_of

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--output", type=FILE, default="reports/reliability.json", show_default=True)
@click.option("--tally", type=FILE, default="state/faults/tally.jsonl", show_default=True)
@click.option("--minutes", type=float, default=float("inf"), help="end after so many; default: all")
@click.option("--every", type=click.IntRange(1), default=1, help="of the operations; default: 1")
@click.option(
    "--stage",
    "asked",
    type=click.Choice(list(STAGES)),
    multiple=True,
    help="only these stages; default: all",
)
@click.option("--kills", default=50, show_default=True, help="random moments of each kind")
@one_line_errors
def main(
    output: Path, tally: Path, minutes: float, every: int, asked: tuple[str, ...], kills: int
) -> None:
    """Let the Nth operation on the disk fail, for every N of a small pipeline, and resume.

    What was tried is kept in the tally: the same command goes on from there.
    """
    if not inject.preloaded():
        inject.start_anew(Path("state/faults"))
    known = Tally(tally)
    with tempfile.TemporaryDirectory(prefix="lr-ceiling-faults-") as folder:
        database = make_database(Path(folder) / "empty") if needs_mlflow(asked) else None
        campaign = Campaign(Path(folder) / "campaign", database)
        points = [
            point
            for point in campaign.points(lambda stage: every)
            if point not in known and (not asked or point.stage in asked)
        ]
        # Mixed, so that a part of them is a sample of all.
        points.sort(key=lambda point: digest_of(point.stage, point.fault, point.at))
        end = time.monotonic() + 60 * minutes
        for done, point in enumerate(points):
            if time.monotonic() > end:
                break
            wrong = campaign.wrong(point)
            known.add(point, wrong)
            if wrong:
                click.echo(f"{point}: {wrong}")
            if done % 100 == 99:
                click.echo(f"{done + 1} of {len(points)}")
    if kills:
        searches = Searches()
        for point in moments(kills):
            if point in known or time.monotonic() > end:
                continue
            wrong = searches.wrong(point)
            known.add(point, wrong)
            if wrong:
                click.echo(f"{point}: {wrong}")
    counts = [FaultCount.model_validate(row) for row in known.rows]
    put(output, counts, lambda row: row.point != CLUSTER)
    tried = sum(row.tried for row in counts)
    click.echo(f"{tried} tried, {sum(row.held for row in counts)} held: {output}")
    if known.broken:
        sys.exit(1)


def needs_mlflow(asked: tuple[str, ...]) -> bool:
    """Whether a stage is asked for that MLflow takes part in."""
    return not asked or not set(asked) <= set(OF_FILES)


def make_database(folder: Path) -> Path:
    """An empty database of MLflow's, made once: its migrations take 3 s."""
    # Imported here, once: what is forked has it.
    import lr_ceiling.live.registry  # noqa: F401

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
