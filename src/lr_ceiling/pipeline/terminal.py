"""The pipeline's output in the terminal: its console, and the tables at the end."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from lr_ceiling.execution import progress
from lr_ceiling.execution.progress import StepProgress
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.rounding import short

# Without a terminal, such as in CI's log, tables are not cut to a width. The variable NO_COLOR
# turns colours off.
console = Console(width=None if sys.stdout.isatty() else 120)

Command = TypeVar("Command", bound=Callable[..., object])


def quiet_option(command: Command) -> Command:
    """Add the option `--quiet` to a click command: it then prints errors only."""
    return click.option(
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="Print errors only.",
    )(command)


def _set_quiet(context: click.Context, option: click.Parameter, quiet: bool) -> None:
    console.quiet = quiet


def step_progress(
    label: str, total: int, *, taken: int = 0, may_end_early: bool = False
) -> AbstractContextManager[StepProgress]:
    """Yield a progress display of `total` steps on the pipeline's console."""
    return progress.step_progress(console, label, total, taken=taken, may_end_early=may_end_early)


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. The first column is text, the others are numbers."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_runs(title: str, runs: Iterable[RunResult]) -> None:
    """Print a table of runs, one row per run.

    Runs with batch norm are judged by their weights. The saved model uses the moving averages of
    the training, and may be less accurate.
    """
    header = ("run", "label", "validation accuracy", "as saved", "test accuracy", "steps to 95%")
    rows = [
        (
            run.spec.name,
            run.label,
            f"{run.accuracy_by_weights:.4f}",
            "-" if run.reestimated_accuracy is None else f"{run.validation_accuracy:.4f}",
            "-" if run.test_accuracy is None else f"{run.test_accuracy:.4f}",
            "never" if run.steps_to_95 is None else str(run.steps_to_95),
        )
        for run in runs
    ]
    print_table(title, header, rows)


def trial_in_words(run: RunResult) -> str:
    """The result of a trial in words."""
    return f"lr {short(run.spec.learning_rate, 4)} is {run.label} after {run.steps:,} steps"
