"""Simulated networks whose ceilings are known.

An oracle has the probability of a stable run at each learning rate. Its edge is drawn for each
study.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lr_ceiling.problems.judge import SUCCESS_AT
from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Call, Floats, Observation

# As in params.yaml for the sigmoid baseline.
LOW, HIGH = 1e-4, 1e0
# A true edge is drawn at least this far, in decades, from the ends of the range.
MARGIN = 0.5
# Points at which a true curve is evaluated, in decades from its edge.
LATTICE = np.arange(-3, 3, 0.001)


@dataclass(frozen=True)
class Oracle:
    """A simulated network: P(stable) as a function of u - theta in decades, and costs of runs.

    Runs that cost less than a full run are called early, and no call is wrong. If failures can't be
    called early, neither can success. `well_specified` says that the posterior's family of curves
    includes this one. The edge lies between the distances `below` and `above`, in decades, of the
    range's upper end; by default anywhere within the range.
    """

    name: str
    transition_decades: float
    shape: Callable[[Floats], Floats]
    failure_cost: float = 0.1
    success_cost: float = SUCCESS_AT
    well_specified: bool = True
    from_end: tuple[float, float] | None = None

    def theta(self, rng: np.random.Generator) -> float:
        """A true edge, off every grid."""
        low, high = np.log10(LOW), np.log10(HIGH)
        if self.from_end:
            return float(rng.uniform(*(high + decades for decades in self.from_end)))
        return float(rng.uniform(low + MARGIN, high - MARGIN))

    def exists(self, target: float) -> bool:
        """Whether any learning rate is stable with probability `target`."""
        return bool((self.shape(LATTICE) >= target).any())

    def edge(self, theta: float, target: float) -> float:
        """The highest u with P(stable) of at least `target`; -inf if there is none."""
        if not self.exists(target):
            return -np.inf
        return float(theta + LATTICE[self.shape(LATTICE) >= target].max())

    def usable(self, theta: float) -> None:
        """None, because these runs have no scores."""

    def run(
        self,
        u: float,
        theta: float,
        rng: np.random.Generator,
        let_run_on: bool = False,
        scored: bool = False,
    ) -> Observation:
        """One run of a fresh seed at u. An audited run is called, but not ended.

        `scored` has no effect, because these runs have no scores.
        """
        stable = bool(rng.random() < self.shape(np.array([u - theta]))[0])
        cost = self.success_cost if stable else self.failure_cost
        if cost == 1 or self.failure_cost == 1:
            return Observation(u, stable)
        return called_early(u, stable, cost, ends=not let_run_on)


def called_early(
    u: float, stable: bool, cost: float, *, ends: bool, score: float | None = None
) -> Observation:
    """A run with a right call: the call `ends` it at this cost, or it continues to its score."""
    called: Call = "success" if stable else "failure"
    if ends:
        return Observation(u, stable, called, ended=True, cost=cost)
    return Observation(u, stable, called, score=score)


def _logistic(width: float, at: float = 0.0) -> Callable[[Floats], Floats]:
    return lambda x: 1 / (1 + np.exp(np.clip((x - at) * WIDTH_OF_SCALE / width, -500, 500)))


def _gompertz(width: float) -> Callable[[Floats], Floats]:
    # From 0.9 to 0.1 within the width, with a slow start from 1 and a fast end at 0.
    scale = width / np.log(np.log(0.1) / np.log(0.9))
    return lambda x: np.asarray(np.exp(-np.log(2) * np.exp(np.clip(x / scale, -50, 50))))


def _gap(x: Floats) -> Floats:
    # Stable up to a gap of half a decade, and again in the decade above it.
    island = _logistic(0.1)(x) * (1 - _logistic(0.1, at=-0.8)(x))
    return np.asarray(0.97 * (island + _logistic(0.1, at=-1.3)(x)))


def _island(x: Floats) -> Floats:
    return np.asarray(_logistic(0.1)(x) + 0.4 * np.exp(-(((x - 1) / 0.15) ** 2)))


def _shoulder(x: Floats) -> Floats:
    return np.asarray(0.7 * _logistic(0.1)(x) + 0.3 * _logistic(0.1, at=-0.4)(x))


def _band(below: float, width: float) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(_logistic(0.1)(x) * (1 - _logistic(width, at=-below)(x)))


def _at_most(maximum: float) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(maximum * _logistic(0.1)(x))


# Wide transitions belong to networks that degrade, so their failed runs are slow, not dead.
ORACLES = (
    Oracle("logistic-0.05", 0.05, _logistic(0.05)),
    Oracle("logistic-0.1", 0.1, _logistic(0.1)),
    Oracle("logistic-0.2", 0.2, _logistic(0.2)),
    Oracle("logistic-0.4", 0.4, _logistic(0.4), failure_cost=1.0),
    Oracle("logistic-0.8", 0.8, _logistic(0.8), failure_cost=1.0),
    Oracle("near-the-end", 0.2, _logistic(0.2), from_end=(-MARGIN, 0)),
    Oracle("lapses", 0.1, _at_most(0.95)),
    Oracle("asymmetric", 0.2, _gompertz(0.2), well_specified=False),
    Oracle("island", 0.1, _island, well_specified=False),
    Oracle("plateau", 0.5, _shoulder, failure_cost=1.0, well_specified=False),
    Oracle("lower-edge", 0.1, _band(1, 0.3), well_specified=False),
    Oracle("lower-edge-near", 0.1, _band(0.4, 0.1), well_specified=False),
    Oracle("asymmetric-0.5", 0.5, _gompertz(0.5), failure_cost=1.0, well_specified=False),
    Oracle("above-the-range", 0.1, _logistic(0.1), from_end=(0.5, 1.5)),
    Oracle("gap", 0.1, _gap, well_specified=False),
    Oracle("at-most-0.85", 0.1, _at_most(0.85)),
    Oracle("at-most-0.7", 0.1, _at_most(0.7)),
    Oracle("at-most-0.4", 0.1, _at_most(0.4)),
)


def oracle_of(name: str) -> Oracle:
    """The oracle of this name. Processes exchange names, because curves can't be pickled."""
    return next(oracle for oracle in ORACLES if oracle.name == name)
