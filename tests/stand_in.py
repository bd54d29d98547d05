"""A runner that trains nothing."""

from collections.abc import Callable, Mapping
from typing import Self

from lr_ceiling.execution.runner import Ended, Runner, Task
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.task import TrainingTask


class StandIn(Runner):
    """Ends the newest task first, by `oracle`, and dies, as a driver does, after `lives` of them.

    `ran` are the tasks that ended, `submitted` all that there were.
    """

    def __init__(self, oracle: Callable[[TrainingTask], RunResult], lives: int = 10**9) -> None:
        self.lives = lives
        self.ran: list[TrainingTask] = []
        self.submitted: list[TrainingTask] = []
        self._oracle = oracle
        self._waiting_tasks: list[TrainingTask] = []
        self._told: Callable[[Mapping[str, int]], None] = lambda steps: None

    def started(
        self, processes: int | None, on_steps: Callable[[Mapping[str, int]], None]
    ) -> "StandIn":
        """Stand in for `workers`."""
        self._told, self._waiting_tasks = on_steps, []
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, task: Task, group: str = "") -> None:
        """Take a training."""
        assert isinstance(task, TrainingTask)
        self.submitted.append(task)
        self._waiting_tasks.append(task)

    def completed(self) -> Ended:
        """End one."""
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        task = self._waiting_tasks.pop()
        self.ran.append(task)
        self._told({"": task.spec.horizon})
        return Ended(task, self._oracle(task), 0.0, 0.0)
