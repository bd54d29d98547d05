"""Measures the highest stable learning rate of a network, with a credible interval.

from lr_ceiling import KerasProblem, find_ceiling

problem = KerasProblem(build_model, x, y, validation_data=(xv, yv), epochs=3, target=0.9)
print(find_ceiling(problem, low=1e-4, high=1.0))
"""

import importlib
from typing import TYPE_CHECKING, Any

from lr_ceiling.errors import MissingExtra

if TYPE_CHECKING:
    from lr_ceiling.execution.cluster import DaskCluster
    from lr_ceiling.find import find_ceiling
    from lr_ceiling.problems.keras import KerasProblem
    from lr_ceiling.problems.outcome import Outcome
    from lr_ceiling.problems.problem import Problem
    from lr_ceiling.problems.stability_monitor import StabilityMonitor
    from lr_ceiling.search.ceiling import Ceiling, ceiling_of, plot_ceiling
    from lr_ceiling.search.estimates import Estimate
    from lr_ceiling.search.sampler import CeilingSampler

# These names are imported at their first use. Importing them with the package would take a tenth of
# a second, and each stage of the pipeline would depend on all of their modules.
_PUBLIC = {
    "Ceiling": "search.ceiling",
    "CeilingSampler": "search.sampler",
    "DaskCluster": "execution.cluster",
    "Estimate": "search.estimates",
    "KerasProblem": "problems.keras",
    "Outcome": "problems.outcome",
    "Problem": "problems.problem",
    "StabilityMonitor": "problems.stability_monitor",
    "ceiling_of": "search.ceiling",
    "find_ceiling": "find",
    "plot_ceiling": "search.ceiling",
}

__all__ = [
    "Ceiling",
    "CeilingSampler",
    "DaskCluster",
    "Estimate",
    "KerasProblem",
    "Outcome",
    "Problem",
    "StabilityMonitor",
    "ceiling_of",
    "find_ceiling",
    "plot_ceiling",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lr_ceiling' has no attribute {name!r}")
    try:
        module = importlib.import_module(f"lr_ceiling.{_PUBLIC[name]}")
    except ModuleNotFoundError as error:
        if error.name != "keras":
            raise
        raise MissingExtra(f"{name} needs keras: pip install 'lr-ceiling[keras]'") from None
    return getattr(module, name)


def __dir__() -> list[str]:
    return __all__
