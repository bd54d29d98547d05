"""What people see while they wait, and the tables at the end; the one home of rich."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from lr_ceiling.runs import RunResult

# Seconds between two plain lines where there is no terminal, such as in CI.
PLAIN_EVERY = 30.0

# Where there is no terminal to fit into, such as in CI's log, tables keep their rows whole. The
# variable NO_COLOR takes the colours away.
console = Console(width=None if sys.stdout.isatty() else 120)

Command = TypeVar("Command", bound=Callable[..., object])


def quiet_option(command: Command) -> Command:
    """Give a click command `--quiet`, with which nothing but errors is printed."""
    return click.option(
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="Print nothing but errors.",
    )(command)


def _set_quiet(context: click.Context, option: click.Parameter, quiet: bool) -> None:
    console.quiet = quiet


class StepProgress:
    """Shows how many of `total` optimizer steps are taken: a bar, or now and then a plain line."""

    def __init__(self, label: str, total: int, bar: Progress) -> None:
        self._label = label
        self._total = total
        self._bar = bar
        self._task = bar.add_task(label, total=total)
        self._began = self._said = time.monotonic()

    def steps(self, taken: int) -> None:
        """Show that `taken` steps have been taken so far."""
        self._bar.update(self._task, completed=min(taken, self._total))
        now = time.monotonic()
        if console.is_terminal or not taken or now - self._said < PLAIN_EVERY:
            return
        self._said = now
        left = (now - self._began) / taken * max(self._total - taken, 0)
        console.print(f"{self._label}: {taken} of {self._total} steps, {left:.0f} s to go")

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False)


@contextmanager
def step_progress(label: str, total: int) -> Iterator[StepProgress]:
    """Give a StepProgress for work of at most `total` steps."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TextColumn("to go"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=console.quiet or not console.is_terminal
    ) as bar:
        yield StepProgress(label, total, bar)


def print_table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(header):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_runs(title: str, runs: Iterable[RunResult]) -> None:
    """Print a table of runs, a row each."""
    header = ("run", "label", "validation accuracy", "test accuracy", "steps to 95%")
    rows = [
        (
            run.spec.name,
            run.label,
            f"{run.validation_accuracy:.4f}",
            "-" if run.test_accuracy is None else f"{run.test_accuracy:.4f}",
            "never" if run.steps_to_95 is None else str(run.steps_to_95),
        )
        for run in runs
    ]
    print_table(title, header, rows)
