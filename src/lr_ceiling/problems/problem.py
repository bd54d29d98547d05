"""A problem defines one run. Any callable is a problem; a subclass of Problem can say more."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lr_ceiling.problems.outcome import Mode, Outcome, outcome_of

Report = Callable[[int], None]


class Problem:
    """Base class of problems that need more than a callable can say.

    Attributes:
        version: the identity of the computation. Change it when the computation of a run changes:
            a stored search of another version is refused.
        libraries: the packages whose versions affect the result.
        better: whether higher ("max") or lower ("min") scores are better.
        settings: everything else that affects a run's result, by name. A stored search with other
            settings is refused.
        horizon: the length of a full run, in steps.
        prepared_by: the name of a module that prepares a process for runs, by its import and its
            function `prepare()`.
        uses_gpus: whether each process should get a GPU of its own, if there are GPUs.

    Examples:
        >>> class Toy(Problem):
        ...     version = "1"
        ...     def run(self, learning_rate, seed, report):
        ...         return Outcome(stable=learning_rate < 0.1, score=0.9)
        >>> Toy()(0.01, seed=0).stable
        True
    """

    version: str = ""
    libraries: tuple[str, ...] = ()
    better: Mode = "max"
    settings: Mapping[str, str | float | int] = MappingProxyType({})
    horizon: int = 1
    prepared_by: str | None = None
    uses_gpus: bool = False

    def run(self, learning_rate: float, seed: int, report: Report) -> Outcome:
        """Execute one run, and call `report` with the number of steps taken so far.

        An ArithmeticError makes the run a failed one. Any other exception ends the search.
        """
        raise NotImplementedError

    def __call__(self, learning_rate: float, seed: int) -> Outcome:
        """Execute one run without reports."""
        return self.run(learning_rate, seed, lambda steps: None)


class CallableProblem(Problem):
    """A function of a learning rate and a seed, with the target for its scores.

    Its `version` and `libraries` are the function's attributes of these names, if they exist.
    """

    def __init__(self, function: Callable[[float, int], Any], target: float | None, mode: Mode):
        self.function, self.target, self.mode = function, target, mode
        self.better = mode
        self.version = str(getattr(function, "version", ""))
        self.libraries = tuple(getattr(function, "libraries", ()))
        self.settings = {} if target is None else {"target": target, "mode": mode}

    def run(self, learning_rate: float, seed: int, report: Report) -> Outcome:
        """Call the function, and judge its return value by `outcome_of`."""
        return outcome_of(self.function(learning_rate, seed), self.target, self.mode)


def is_a(value: Any, package: str, name: str) -> bool:
    """Whether `value` is an instance of the package's class `name`, without importing it."""
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == package
        for kind in type(value).__mro__
    )
