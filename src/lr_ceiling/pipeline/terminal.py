"""What people see while they wait, and the tables at the end; the one home of rich."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import click
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from lr_ceiling.mnist.results import RunResult
from lr_ceiling.rounding import short

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

    def __init__(self, label: str, total: int, taken: int, to_go: str, bar: Progress) -> None:
        self._label = label
        self._total = total
        self._before = taken
        self._to_go = to_go
        self._standing = ""
        self._ahead = 0
        self._bar = bar
        self._task = bar.add_task(label, total=total, completed=taken, below="")
        self._began = self._said = time.monotonic()

    def steps(self, taken: int, ahead: int = 0) -> None:
        """Show that `taken` steps have been taken so far, and `ahead` others for later stages."""
        now = time.monotonic()
        later = self._later(taken, ahead, now)
        below = _joined(self._standing, later)
        self._bar.update(self._task, completed=min(taken, self._total), below=below)
        too_soon = taken <= self._before or now - self._said < PLAIN_EVERY
        if console.is_terminal or too_soon:
            return
        self._said = now
        so_far = f"{taken:,} of {self._total:,} steps, {self._left(taken, now)}"
        # One line, however long: a log's reader looks for whole lines.
        line = f"{self._label}: {_joined(self._standing, so_far, later)}"
        console.print(line, highlight=False, soft_wrap=True)

    def of(self, group: str) -> Callable[[Mapping[str, int]], None]:
        """What shows the steps of `group` as the work's own, and those of all others apart."""

        def show(steps: Mapping[str, int]) -> None:
            own = steps.get(group, 0)
            self.steps(self._before + own, sum(steps.values()) - own)

        return show

    def expect(self, ahead: int) -> None:
        """Tell that so many steps may be taken for later stages, before this work ends."""
        self._ahead = ahead

    def stands(self, standing: str) -> None:
        """Show with the steps what they have led to so far."""
        self._standing = standing
        self._bar.update(self._task, below=standing)

    def _later(self, taken: int, ahead: int, now: float) -> str:
        if not ahead:
            return ""
        if not self._ahead:
            return f"{ahead:,} steps for later stages"
        pace = (now - self._began) / (taken - self._before + ahead)
        left = _clock(pace * max(self._total - taken + self._ahead - ahead, 0))
        return f"{ahead:,} of {self._ahead:,} steps for later stages, all to go at most {left}"

    def _left(self, taken: int, now: float) -> str:
        if taken >= self._total:
            return "done"
        pace = (now - self._began) / (taken - self._before)
        return f"{self._to_go} {_clock(pace * (self._total - taken))}"

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line, highlight=False)


class _Bar(Progress):
    """A bar with a line below it that says where the work stands."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["below"]:
                yield Text(task.fields["below"], style="dim", overflow="ellipsis", no_wrap=True)


@contextmanager
def step_progress(
    label: str, total: int, *, taken: int = 0, may_end_early: bool = False
) -> Iterator[StepProgress]:
    """Give a StepProgress for work of at most `total` steps, `taken` of them before.

    Work that may end early has `total` as its budget: the time to go is told as the most it can be.
    """
    to_go = "to go at most" if may_end_early else "to go"
    columns = (
        TextColumn("{task.description}"),
        # As wide as the terminal leaves it.
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(f"steps, {to_go}"),
        TimeRemainingColumn(),
    )
    with _Bar(
        *columns,
        console=console,
        expand=True,
        transient=True,
        disable=console.quiet or not console.is_terminal,
    ) as bar:
        yield StepProgress(label, total, taken, to_go, bar)


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _clock(seconds: float) -> str:
    """Seconds as people read them: 40 s, 3 min, 1 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


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


def trial_in_words(run: RunResult) -> str:
    """What a trial of a search came to."""
    return f"lr {short(run.spec.learning_rate, 4)} is {run.label} after {run.steps:,} steps"
