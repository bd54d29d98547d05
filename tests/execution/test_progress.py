"""What people see of a search: a line a trial where there is no terminal."""

import io

from rich.console import Console

from lr_ceiling.execution.progress import SearchProgress
from lr_ceiling.execution.runner import Ended
from lr_ceiling.search.posterior import Observation
from lr_ceiling.search.schedule import Aim

AIM = Aim("key", 1e-4, 1.0, interval_decades=0.3, budget=15, lag=4)


def shown(horizon: int, taken: dict[str, int]) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=200)
    with SearchProgress("mine", console, lambda result: f"lr {result} is stable") as progress:
        progress.begun(AIM, horizon, [Observation(-1.0, stable=False, cost=0.5)])
        progress.steps(taken)
        progress.ended(1, Ended(None, 0.01, 0.0, 1.0), Observation(-2.0, stable=True))
    return out.getvalue().splitlines()


def test_a_trial_is_a_line_with_where_the_edge_is() -> None:
    (line,) = shown(horizon=100, taken={"search": 50})
    assert line.startswith("mine trial 1: lr 0.01 is stable; lr90 between 0.")


def test_runs_without_steps_are_counted_as_runs() -> None:
    (line,) = shown(horizon=1, taken={"search": 0})
    assert line.startswith("mine trial 1: ")
