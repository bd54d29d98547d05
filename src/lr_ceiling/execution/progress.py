"""What people see while runs are under way."""

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

# Seconds between two plain lines where there is no terminal, such as in CI.
PLAIN_EVERY = 30.0
# The group of a search's tasks.
GROUP = "search"


class Watch:
    """Is told how a search goes; a context manager around it. This one keeps it to itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def begun(self, aim: Aim, horizon: int, seen: Sequence[Observation]) -> None:
        """The search begins; trials that ended before showed `seen`, in order."""

    def steps(self, taken: Mapping[str, int]) -> None:
        """So many steps have been taken since, by group of tasks; told twice a second."""

    def ended(self, index: int, ended: Ended, seen: Observation) -> None:
        """Trial `index` has ended and showed `seen`."""


class SearchProgress(Watch):
    """Shows how a search goes: a bar with where the edge is, and a line a trial."""

    def __init__(self, name: str, console: Console, in_words: Callable[[Any], str]) -> None:
        """`name` is what people know the search by; `in_words` tells of a result."""
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
        """Tell what the trial came to, and where the edge is now."""
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
    """Shows how many of `total` optimizer steps are taken: a bar, or now and then a plain line."""

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
        """Show that `taken` steps have been taken so far, and `ahead` others for later stages."""
        now = time.monotonic()
        later = self._later(taken, ahead, now)
        below = _joined(self._standing, later)
        self._bar.update(self._task, completed=min(taken, self._total), below=below)
        too_soon = taken <= self._before or now - self._said < PLAIN_EVERY
        if self._bar.console.is_terminal or too_soon:
            return
        self._said = now
        so_far = f"{taken:,} of {self._total:,} {self._unit}, {self._left(taken, now)}"
        # One line, however long: a log's reader looks for whole lines.
        line = f"{self._label}: {_joined(self._standing, so_far, later)}"
        self._bar.console.print(line, highlight=False, soft_wrap=True)

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
    console: Console,
    label: str,
    total: int,
    *,
    taken: int = 0,
    may_end_early: bool = False,
    unit: str = "steps",
) -> Iterator[StepProgress]:
    """Give a StepProgress on `console` for work of at most `total` steps, `taken` of them before.

    Work that may end early has `total` as its budget: the time to go is told as the most it can be.
    """
    to_go = "to go at most" if may_end_early else "to go"
    columns = (
        TextColumn("{task.description}"),
        # As wide as the terminal leaves it.
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
    """What writes to stderr: what a program prints of its own stays whole."""
    return Console(stderr=True)


def _joined(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def _clock(seconds: float) -> str:
    """Seconds as people read them: 40 s, 3 min, 1 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
