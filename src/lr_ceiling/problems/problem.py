"""A problem: what one run is. Any callable is one; a class may tell more of itself."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from lr_ceiling.problems.outcome import Mode, Outcome, outcome_of

Report = Callable[[int], None]


class Problem:
    """A problem that tells more of itself than a callable can: the base of those that do.

    `version` is its identity: raise it when what a run computes changes, and a stored search of the
    former version is not mixed with new runs. `libraries` are the packages whose versions decide
    the result; `better` says whether higher scores are better ("max") or lower ones; `settings` are
    what else of it decides what a run comes to, by name: a stored search
    of others is refused; `horizon` is the length of a full run, in steps; `prepared_by` names a
    module whose import and whose `prepare()` make a process ready for runs; `uses_gpus` says that
    each process is to have a GPU of its own, where there are any.
    """

    version: str = ""
    libraries: tuple[str, ...] = ()
    better: Mode = "max"
    settings: Mapping[str, str | float | int] = MappingProxyType({})
    horizon: int = 1
    prepared_by: str | None = None
    uses_gpus: bool = False

    def run(self, learning_rate: float, seed: int, report: Report) -> Outcome:
        """Run it; `report` is told how many steps are taken so far.

        An ArithmeticError is a failed run. Any other exception ends the search.
        """
        raise NotImplementedError

    def __call__(self, learning_rate: float, seed: int) -> Outcome:
        """The same without a report."""
        return self.run(learning_rate, seed, lambda steps: None)


class CallableProblem(Problem):
    """A function of a learning rate and a seed, with the target that its scores are held against.

    Its `version` and `libraries` are those of the function, if it has such attributes.
    """

    def __init__(self, function: Callable[[float, int], Any], target: float | None, mode: Mode):
        self.function, self.target, self.mode = function, target, mode
        self.better = mode
        self.version = str(getattr(function, "version", ""))
        self.libraries = tuple(getattr(function, "libraries", ()))
        self.settings = {} if target is None else {"target": target, "mode": mode}

    def run(self, learning_rate: float, seed: int, report: Report) -> Outcome:
        """Call the function, and judge what it returns as `outcome_of` does."""
        return outcome_of(self.function(learning_rate, seed), self.target, self.mode)


def is_a(value: Any, package: str, name: str) -> bool:
    """Whether `value` is of a class `name` of that package, which need not be imported for it."""
    return any(
        kind.__name__ == name and kind.__module__.partition(".")[0] == package
        for kind in type(value).__mro__
    )
