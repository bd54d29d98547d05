"""The display of running work."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lr_ceiling.execution.runner import Ended
from lr_ceiling.rounding import short
from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.search.posterior import Observation, Posterior, curves
from lr_ceiling.search.schedule import Aim

# Seconds between two plain lines if there is no terminal, such as in CI.
PLAIN_EVERY = 30.0
# The group of a search's tasks.
GROUP = "search"


class Watch:
    """Receives the events of a search, as a context manager. This base class ignores them."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def begun(self, aim: Aim, horizon: int, seen: Sequence[Observation]) -> None:
        """The search begins. `seen` are the observations of earlier trials, in order."""

    def steps(self, taken: Mapping[str, int]) -> None:
        """Called twice a second with the number of steps taken so far, by group of tasks."""

    def ended(self, index: int, ended: Ended, seen: Observation) -> None:
        """Trial `index` has ended with the observation `seen`."""


class SearchProgress(Watch):
    """Shows the progress of a search: a bar with the current edge, and one line per trial."""

    def __init__(self, name: str, console: Console, in_words: Callable[[Any], str]) -> None:
        """`name` is the displayed name of the search; `in_words` describes a result."""
        self._name, self._console, self._in_words = name, console, in_words
        self._stack = ExitStack()

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def begun(self, aim: Aim, horizon: int, seen: Sequence[Observation]) -> None:
        """Draw the bar."""
        self._posterior = Posterior(curves(aim.bounds), seen, aim.calls)
        self._horizon, self._spent = horizon, sum(one.cost for one in seen)
        self._progress = self._stack.enter_context(
            step_progress(
                self._console,
                self._name,
                int(aim.most_runs * horizon),
                taken=round(self._spent * horizon),
                may_end_early=True,
                unit="steps" if horizon > 1 else "full runs",
            )
        )
        self._steps = self._progress.of(GROUP)
        self._progress.stands(self._so_far())

    def steps(self, taken: Mapping[str, int]) -> None:
        """Move the bar."""
        if self._horizon > 1:
            self._steps(taken)

    def ended(self, index: int, ended: Ended, seen: Observation) -> None:
        """Show the trial's result and the current edge."""
        self._posterior = self._posterior.after(seen)
        self._spent += seen.cost
        told = f"{self._name} trial {index}: {self._in_words(ended.result)}; {self._edge()}"
        self._progress.say(told)
        self._progress.stands(self._so_far())
        if self._horizon == 1:
            self._progress.steps(round(self._spent))

    def _edge(self) -> str:
        edge = self._posterior.edge(TARGETS["lr90"])
        return f"lr90 between {short(10**edge.low, 3)} and {short(10**edge.high, 3)}"

    def _so_far(self) -> str:
        trials = len(self._posterior.observations)
        if not trials:
            return "no trial done yet"
        return f"{trials} trial{'s' * (trials > 1)} done, {self._edge()}"


class StepProgress:
    """Shows how many of `total` optimizer steps are taken: a bar, or occasional plain lines."""

    def __init__(
        self, label: str, total: int, taken: int, to_go: str, unit: str, bar: Progress
    ) -> None:
        self._label = label
        self._unit = unit
        self._total = total
        self._before = taken
        self._to_go = to_go
        self._standing = ""
        self._ahead = 0
        self._bar = bar
        self._task = bar.add_task(label, total=total, completed=taken, below="")
        self._began = self._said = time.monotonic()

    def steps(self, taken: int, ahead: int = 0) -> None:
        """Show that `taken` steps have been taken so far, and `ahead` more for later stages."""
        now = time.monotonic()
        later = self._later(taken, ahead, now)
        below = _joined(self._standing, later)
        self._bar.update(self._task, completed=min(taken, self._total), below=below)
        too_soon = taken <= self._before or now - self._said < PLAIN_EVERY
        if self._bar.console.is_terminal or too_soon:
            return
        self._said = now
        so_far = f"{taken:,} of {self._total:,} {self._unit}, {self._left(taken, now)}"
        # One line of any length, because readers of logs search for whole lines.
        line = f"{self._label}: {_joined(self._standing, so_far, later)}"
        self._bar.console.print(line, highlight=False, soft_wrap=True)

    def of(self, group: str) -> Callable[[Mapping[str, int]], None]:
        """A callback that shows steps of `group` as own work, and all others as work ahead."""

        def show(steps: Mapping[str, int]) -> None:
            own = steps.get(group, 0)
            self.steps(self._before + own, sum(steps.values()) - own)

        return show

    def expect(self, ahead: int) -> None:
        """Announce the maximum number of steps for later stages before this work ends."""
        self._ahead = ahead

    def stands(self, standing: str) -> None:
        """Show the current result beside the steps."""
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
    """A bar with a line below it that shows the current result."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["below"]:
                yield Text(task.fields["below"], style="dim", overflow="ellipsis", no_wrap=True)


@contextmanager
def step_progress(
    console: Console,
    label: str,
    total: int,
    *,
    taken: int = 0,
    may_end_early: bool = False,
    unit: str = "steps",
) -> Iterator[StepProgress]:
    """Yield a StepProgress on `console` for at most `total` steps, `taken` of which are done.

    For work that may end early, `total` is its budget, and the remaining time is an upper limit.
    """
    to_go = "to go at most" if may_end_early else "to go"
    columns = (
        TextColumn("{task.description}"),
        # The bar fills the width of the terminal.
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn(f"{unit}, {to_go}"),
        TimeRemainingColumn(),
    )
    with _Bar(
        *columns,
        console=console,
        expand=True,
        transient=True,
        disable=console.quiet or not console.is_terminal,
    ) as bar:
        yield StepProgress(label, total, taken, to_go, unit, bar)


def error_console() -> Console:
    """A console on stderr, so that the program's own output on stdout stays whole."""
    return Console(stderr=True)


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _clock(seconds: float) -> str:
    """Seconds in readable form: 40 s, 3 min, 1 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
