"""`make bench`: measures all rows of reports/benchmark.json except those of `make bench-repro`."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import click

from benchmarks import find, overhead, post, scaling, stages, step
from benchmarks.fleet import FLOOR, NOTEBOOK, OURS, SINGLE, Fleet
from benchmarks.places import REPORT, SPLITS
from benchmarks.protocol import CHUNK
from benchmarks.rows import HEADER, Row, cells, read_figures, write_report
from lr_ceiling.execution.executor import cores
from lr_ceiling.pipeline.terminal import console, print_table

# Trials of the studies, epochs of their runs, and how often each is repeated: 1,000 take minutes.
STUDIES = ((10, 3, 5), (100, 3, 3), (1000, 3, 1), (10, 30, 3))
# Cells and seeds of the grids.
GRIDS = ((1, 4, 3), (8, 4, 3))


@click.command()
@click.option("--steps", default=375, show_default=True, help="steps of each run of the experiment")
@click.option("--repeats", default=5, show_default=True, help="measurements of every figure")
@click.option("--step-repeats", default=9, show_default=True, help="measurements of a step's time")
@click.option(
    "--only",
    type=click.Choice(["training", "scaling", "stages", "overhead", "find"]),
    multiple=True,
    help="measure this part alone, and keep the other figures",
)
def main(steps: int, repeats: int, step_repeats: int, only: tuple[str, ...]) -> None:
    """Measure, show a table after each part, and write the report."""
    if not SPLITS.exists():
        raise click.ClickException(f"{SPLITS} is missing: run `dvc repro validate` to make it")
    post.check_steps(steps)
    parts: dict[str, Callable[[list[Row]], list[Row]]] = {
        "training": lambda rows: _training(steps, repeats, step_repeats),
        "scaling": lambda rows: [scaling.measure(SPLITS, 2 * CHUNK, repeats)],
        "stages": lambda rows: _stages(repeats),
        "overhead": _overhead,
        "find": lambda rows: [*find.measure_overhead(3), *find.measure_keras(repeats)],
    }
    rows: list[Row] = []
    for name, measure in parts.items():
        if not only or name in only:
            console.print(f"measuring: {name}")
            measured = measure(rows)
            _show(name, [row.as_json() for row in measured])
            rows += measured
            # At once: a part that fails takes none of the others with it.
            write_report(REPORT, rows)
    _show("all", read_figures(REPORT))


def _training(steps: int, repeats: int, step_repeats: int) -> list[Row]:
    with ExitStack() as stack:
        ours_splits = post.scaled_splits(SPLITS, steps, ours=True)
        splits = post.scaled_splits(SPLITS, steps, ours=False)
        places = list(range(cores()))
        fleets = []
        for peer in (NOTEBOOK, *SINGLE):
            if not peer.is_installed:
                console.print(f"left out: {peer.name} needs .venv/peers, which `make bench` makes")
                continue
            console.print(f"starting: {peer.name}")
            fleets.append(stack.enter_context(Fleet(peer, splits, post.arms(), places)))
        workers = post.OurExperiment(ours_splits, cores(), post.arms(), stack)
        console.print("measuring: the post's experiment")
        rows = post.measure(workers, fleets, steps, repeats)
        _show("the post's experiment", [row.as_json() for row in rows])
        console.print("measuring: steps")
        ours = stack.enter_context(Fleet(OURS, ours_splits, post.arms(), [0]))
        floor = stack.enter_context(Fleet(FLOOR, splits, post.arms(), [0]))
        single = [fleet for fleet in fleets if fleet.peer.one_a_core]
        return rows + step.measure(ours, floor, single, CHUNK, step_repeats)


def _stages(repeats: int) -> list[Row]:
    folder = stages.lay_out()
    # Commands first: what comes after changes the folder's undeclared files.
    return [
        *stages.commands(folder, repeats),
        *stages.measure(folder, repeats),
    ]


def _overhead(rows: Sequence[Row]) -> list[Row]:
    seconds = step.fastest([row.as_json() for row in rows] or read_figures(REPORT))
    model = next((stages.SMOKE / "data" / "models").glob("*/seed-0.keras"))
    return [
        *(
            overhead.measure_search(trials, epochs, repeats, seconds)
            for trials, epochs, repeats in STUDIES
        ),
        *(
            overhead.measure_cells(cells, seeds, 3, model, repeats, seconds)
            for cells, seeds, repeats in GRIDS
        ),
    ]


def _show(title: str, figures: Sequence[dict[str, Any]]) -> None:
    print_table(title, HEADER, [cells(figure) for figure in figures])


if __name__ == "__main__":
    main()
