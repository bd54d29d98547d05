"""The share of a full `dvc repro` that is training: `python -m benchmarks.repro FOLDER`.

Clones this commit into FOLDER, runs `make repro` there and puts the rows `non-training-share` and
`cores-busy` into reports/benchmark.json. With `--smoke` the pipeline is that of tests/smoke.py, in
seconds instead of half an hour, and nothing is written.
"""

import itertools
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.places import REPORT, ROOT
from benchmarks.rows import HEADER, Row, against_bar, cells, write_report
from lr_ceiling.execution.executor import cores
from lr_ceiling.execution.provenance import Facts
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.pipeline.terminal import console, print_table

# The time in which no run is under way, and that of the cores with runs in the stages that train.
ID, BAR = "non-training-share", 5.0
BUSY_ID, BUSY_BAR = "cores-busy", 92.0
TRAINING_STAGES = ("train", "search")
# How many of the biggest items the row names.
NAMED = 8
STAGE = "Running stage '"

Interval = tuple[float, float]


@dataclass(frozen=True)
class Timeline:
    """When `dvc repro` began and ended, and when each of its stages began; seconds since 1970."""

    began: float
    ended: float
    stages: tuple[tuple[str, float], ...]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--smoke", is_flag=True, help="run the small pipeline, to try this command")
def main(folder: Path, smoke: bool) -> None:
    """Run the pipeline in FOLDER, which must not exist yet, and measure it."""
    if folder.exists():
        raise click.ClickException(f"{folder} is there already: name a new folder")
    # Before the run: who works on goes to another commit meanwhile.
    commit = _commit(ROOT)
    timeline = run_smoke(folder) if smoke else run_clone(folder, commit)
    rows = measure(folder, timeline, commit)
    print_table("dvc repro", HEADER, [cells(row.as_json()) for row in rows])
    console.print_json(data=rows[0].as_json()["items_percent"])
    if not smoke:
        write_report(REPORT, rows)


def run_clone(folder: Path, commit: str) -> Timeline:
    """Clone a commit of this project and run `make repro` there."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "checkout", "--quiet", commit], cwd=folder, check=True)
    return follow(["make", "repro"], folder, first="dvc repro", last="lr-ceiling log")


def run_smoke(folder: Path) -> Timeline:
    """Make the small project with its own script, and run `dvc repro` there."""
    smoke = "import sys, smoke, pathlib; smoke.lay_out(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", smoke, str(folder)], cwd=ROOT / "tests", check=True)
    return follow([str(Path(sys.executable).parent / "dvc"), "repro"], folder)


def follow(
    command: Sequence[str], folder: Path, first: str | None = None, last: str | None = None
) -> Timeline:
    """Run a command and note the time of each line that it prints.

    The timeline begins with the line `first` and ends with the line `last`, by default with the
    command itself. Raises RuntimeError if it fails.
    """
    source = ROOT / "data" / "mnist.npz"
    kept = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    # Unbuffered, so that a line comes when it is written.
    kept |= {"PYTHONUNBUFFERED": "1"}
    kept |= {"PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])}
    if source.exists():
        kept.setdefault("LR_CEILING_SOURCE", str(source))
    began, ended = time.time(), None
    stages: list[tuple[str, float]] = []
    with subprocess.Popen(
        command,
        cwd=folder,
        env=kept,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            # make shows the variables that it sets before the command.
            if first and line.strip().endswith(first):
                began = time.time()
            elif line.strip() == last:
                ended = time.time()
            elif line.startswith(STAGE):
                stages.append((line.removeprefix(STAGE).partition("'")[0], time.time()))
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed in {folder}")
    return Timeline(began, ended or time.time(), tuple(stages))


def measure(folder: Path, timeline: Timeline, commit: str) -> list[Row]:
    """The rows: percent of the time without a run, with its largest parts, and of busy cores."""
    runs = list(_runs(folder))
    wall = timeline.ended - timeline.began
    items = gaps(timeline, runs)
    share = 100 * sum(items.values()) / wall
    biggest = sorted(items.items(), key=lambda item: -item[1])[:NAMED]
    without_runs = against_bar(
        ID,
        [share],
        BAR,
        "%",
        commit=commit,
        wall_seconds=wall,
        training_runs=len(runs),
        items_percent={name: 100 * seconds / wall for name, seconds in biggest},
    )
    busy = 100 * busy_share(timeline, runs, cores())
    return [
        without_runs,
        against_bar(
            BUSY_ID, [busy], BUSY_BAR, "%", more_is_better=True, commit=commit, cores=cores()
        ),
    ]


def busy_share(timeline: Timeline, runs: Sequence[Interval], at_once: int) -> float:
    """The share of the cores' time that runs take while stages train."""
    training = [(start, end) for name, start, end in windows(timeline) if name in TRAINING_STAGES]
    busy = sum(
        max(0.0, min(end, ended) - max(start, started))
        for start, end in training
        for started, ended in runs
    )
    return busy / (at_once * sum(end - start for start, end in training))


def windows(timeline: Timeline) -> list[tuple[str, float, float]]:
    """The kind of each stage with its start and end; the time before the first stage counts too."""
    marks = [("before the first stage", timeline.began), *timeline.stages]
    ends = [when for _, when in marks[1:]] + [timeline.ended]
    return [
        (name.partition("@")[0], start, end) for (name, start), end in zip(marks, ends, strict=True)
    ]


def gaps(timeline: Timeline, runs: Sequence[Interval]) -> dict[str, float]:
    """Seconds without any run in progress, by kind of stage and place in it."""
    found: dict[str, float] = defaultdict(float)
    for kind, start, end in windows(timeline):
        inside = merged([run for run in runs if start <= run[0] < end])
        if not inside:
            found[kind] += end - start
            continue
        found[f"{kind}: until the first run"] += inside[0][0] - start
        found[f"{kind}: between runs"] += sum(
            after[0] - before[1] for before, after in itertools.pairwise(inside)
        )
        found[f"{kind}: after the last run"] += end - inside[-1][1]
    return dict(found)


def merged(intervals: Sequence[Interval]) -> list[Interval]:
    """The union of the intervals, as intervals that don't overlap, in order."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _runs(folder: Path) -> Iterator[Interval]:
    # By the results' keys: a study has facts of its own, over the same time.
    for results in sorted((folder / "data").glob("*/*/runs.json")):
        for run in read_runs(results):
            path = folder / "state" / "facts" / f"{run.spec.key}.json"
            facts = Facts.model_validate_json(path.read_bytes())
            yield facts.started, facts.started + facts.seconds


def _commit(folder: Path) -> str:
    told = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    )
    return told.stdout.strip()


if __name__ == "__main__":
    main()
