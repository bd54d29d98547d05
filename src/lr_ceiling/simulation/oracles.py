"""Made-up networks whose ceilings are known.

An oracle says how probable a stable run is at each learning rate; its edge is drawn anew for each
study.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Floats, Observation

# As in params.yaml, for the sigmoid baseline.
LOW, HIGH = 1e-4, 1e0
# A true edge is drawn at least this far, in decades, from the ends of the range.
MARGIN = 0.5
# Where a true curve is looked at, in decades from its edge.
LATTICE = np.arange(-3, 3, 0.001)


@dataclass(frozen=True)
class Oracle:
    """A made-up network: P(stable) by u - theta in decades, and what a failed run costs.

    Where that is less than a full run, failures are called early, and no call is wrong.
    `well_specified` says that the posterior's family of curves holds this one; `near_end` draws
    theta within half a decade of the range's upper end.
    """

    name: str
    transition_decades: float
    shape: Callable[[Floats], Floats]
    failure_cost: float = 0.1
    well_specified: bool = True
    near_end: bool = False

    def theta(self, rng: np.random.Generator) -> float:
        """A true edge, off every grid."""
        low, high = np.log10(LOW), np.log10(HIGH)
        if self.near_end:
            return float(rng.uniform(high - MARGIN, high))
        return float(rng.uniform(low + MARGIN, high - MARGIN))

    def edge(self, theta: float, target: float) -> float:
        """The highest u with P(stable) of `target` or more."""
        return float(theta + LATTICE[self.shape(LATTICE) >= target].max())

    def run(
        self, u: float, theta: float, rng: np.random.Generator, let_run_on: bool = False
    ) -> Observation:
        """One run of a fresh seed at u; one that is let run on is called, but not ended."""
        stable = bool(rng.random() < self.shape(np.array([u - theta]))[0])
        called = not stable and self.failure_cost < 1
        ended = called and not let_run_on
        return Observation(u, stable, called, ended, self.failure_cost if ended else 1.0)


def _logistic(width: float, at: float = 0.0) -> Callable[[Floats], Floats]:
    return lambda x: 1 / (1 + np.exp(np.clip((x - at) * WIDTH_OF_SCALE / width, -500, 500)))


def _gompertz(x: Floats) -> Floats:
    # From 0.9 to 0.1 within 0.2 decades: slow to leave 1, quick to reach 0.
    scale = 0.2 / np.log(np.log(0.1) / np.log(0.9))
    return np.asarray(np.exp(-np.log(2) * np.exp(np.clip(x / scale, -50, 50))))


def _island(x: Floats) -> Floats:
    return np.asarray(_logistic(0.1)(x) + 0.4 * np.exp(-(((x - 1) / 0.15) ** 2)))


def _shoulder(x: Floats) -> Floats:
    return np.asarray(0.7 * _logistic(0.1)(x) + 0.3 * _logistic(0.1, at=-0.4)(x))


def _band(x: Floats) -> Floats:
    return np.asarray(_logistic(0.1)(x) * (1 - _logistic(0.3, at=-1)(x)))


# Wide transitions are those of networks that degrade: their failed runs are slow, not dead.
ORACLES = (
    Oracle("logistic-0.05", 0.05, _logistic(0.05)),
    Oracle("logistic-0.1", 0.1, _logistic(0.1)),
    Oracle("logistic-0.2", 0.2, _logistic(0.2)),
    Oracle("logistic-0.4", 0.4, _logistic(0.4), failure_cost=1.0),
    Oracle("logistic-0.8", 0.8, _logistic(0.8), failure_cost=1.0),
    Oracle("near-the-end", 0.2, _logistic(0.2), near_end=True),
    Oracle("lapses", 0.1, lambda x: 0.95 * _logistic(0.1)(x)),
    Oracle("asymmetric", 0.2, _gompertz, well_specified=False),
    Oracle("island", 0.1, _island, well_specified=False),
    Oracle("plateau", 0.5, _shoulder, failure_cost=1.0, well_specified=False),
    Oracle("lower-edge", 0.1, _band, well_specified=False),
)


def oracle_of(name: str) -> Oracle:
    """The oracle of this name: names travel to other processes, a curve, a function, does not."""
    return next(oracle for oracle in ORACLES if oracle.name == name)
