"""Proof on known truth: studies of made-up networks whose ceilings are known.

An oracle says how probable a stable run is at each learning rate; its edge is drawn anew for each
study. Our search is the one that the pipeline runs. Beside it run the ways that people use, judged
alike, each in the best of its configurations.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import optuna
from optuna.samplers import TPESampler

from lr_ceiling.identity import derived_seed
from lr_ceiling.search.ceiling import TARGETS, Ceiling
from lr_ceiling.search.posterior import (
    WIDTH_OF_SCALE,
    Calls,
    Floats,
    Observation,
    Posterior,
    curves,
)
from lr_ceiling.search.schedule import AUDITED, Aim, Schedule

optuna.logging.set_verbosity(optuna.logging.WARNING)

# As in params.yaml, for the sigmoid baseline.
LOW, HIGH = 1e-4, 1e0
INTERVAL, BUDGET, LAG = 0.3, 15.0, 4
# As in reports/audit.json.
CALLS = Calls(audited=118, wrong=0)
# Full runs after which a peer is given up.
CAP = 100
# A true edge is drawn at least this far, in decades, from the ends of the range.
MARGIN = 0.5
BOOTSTRAPS = 500
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


def study(oracle: Oracle, seed: int) -> dict[str, float]:
    """One study by the pipeline's own search: what it found, the truth, and what it cost."""
    rng = np.random.default_rng(derived_seed("simulation", oracle.name, seed))
    theta = oracle.theta(rng)
    aim = Aim(str(seed), LOW, HIGH, interval_decades=INTERVAL, budget=BUDGET, lag=LAG, calls=CALLS)
    schedule = Schedule(aim)
    done: dict[int, Observation] = {}
    while schedule.may_start(done):
        let_run_on = bool(rng.random() < 1 / AUDITED)
        done[schedule.index] = oracle.run(schedule.propose(), theta, rng, let_run_on)
        schedule.started(done[schedule.index].u)
    ceiling = Ceiling(Posterior(curves(aim.bounds), list(done.values()), aim.calls))
    found = {
        "trials": float(len(done)),
        "cost": sum(one.cost for one in done.values()),
        "widened": float(ceiling.checks().widened),
    }
    for name, target in TARGETS.items():
        edge, truth = ceiling.posterior.edge(target), oracle.edge(theta, target)
        found |= {
            f"{name}_covered": float(edge.low <= truth <= edge.high),
            f"{name}_error": edge.median - truth,
            f"{name}_decades": edge.decades,
        }
    return found


def summarise(oracle: Oracle, studies: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """An oracle of `simulation.json`, without its peers."""

    def middle(name: str) -> float:
        return round(float(np.median([one[name] for one in studies])), 4)

    def share(name: str) -> float:
        return round(float(np.mean([one[name] for one in studies])), 4)

    return {
        "name": oracle.name,
        "well_specified": oracle.well_specified,
        "transition_decades": oracle.transition_decades,
        "failure_cost": oracle.failure_cost,
        "studies": len(studies),
        "coverage_lr50": share("lr50_covered"),
        "coverage_lr90": share("lr90_covered"),
        "bias_decades": middle("lr90_error"),
        "error_decades": error_of([one["lr90_error"] for one in studies]),
        "interval_decades": middle("lr90_decades"),
        "trials": share("trials"),
        "full_run_equivalents": share("cost"),
        "widened": share("widened"),
    }


def error_of(errors: Sequence[float]) -> float:
    """Median absolute error, in decades."""
    return round(float(np.median(np.abs(errors))), 4)


class Way(Protocol):
    """A way to search: gives places, is told what each showed, and has an answer at any time."""

    def next(self) -> float:
        """Where to try, as log10."""

    def tell(self, one: Observation) -> None:
        """Take in a trial."""

    def lr90(self) -> float:
        """The answer so far, as log10."""


class Fit:
    """Logistic regression on log10 lr over a grid of curves: what people fit to a sweep.

    Without lapses, with a flat prior of the edge and the width: the most probable curve.
    """

    WIDTHS = 0.02 * 2.0 ** np.arange(0, 7.5, 0.5)

    def __init__(self) -> None:
        theta = np.arange(np.log10(LOW), np.log10(HIGH) + 0.01, 0.02)
        self._theta, self._width = (
            axis.ravel() for axis in np.meshgrid(theta, self.WIDTHS, indexing="ij")
        )
        self._score = np.zeros(len(self._theta))

    def add(self, one: Observation) -> None:
        """Take in a trial."""
        x = (self._theta - one.u) * WIDTH_OF_SCALE / self._width
        self._score -= np.logaddexp(0, -x if one.stable else x)

    def lr90(self) -> float:
        """The most probable curve's u at P(stable) = 0.9; the mean of all that are."""
        best = self._score >= self._score.max() - 1e-9
        return float(np.mean((self._theta - self._width / 2)[best]))


def grid(points: int) -> Callable[[np.random.Generator], Way]:
    """A sweep over evenly spaced learning rates, again and again, with a logistic fit."""

    def make(rng: np.random.Generator) -> Way:
        places = np.linspace(np.log10(LOW), np.log10(HIGH), points)
        return Fitted(lambda trial: float(places[trial % points]))

    return make


def random(low: float, high: float) -> Callable[[np.random.Generator], Way]:
    """Log-uniform learning rates in a part of the range, with a logistic fit."""

    def make(rng: np.random.Generator) -> Way:
        span = np.log10(HIGH) - np.log10(LOW)
        start = np.log10(LOW)
        return Fitted(lambda trial: float(rng.uniform(start + low * span, start + high * span)))

    return make


def tpe(startup: int, fit: bool) -> Callable[[np.random.Generator], Way]:
    """Optuna's TPE, which maximises the learning rate and gets 0 for a failure."""
    return lambda rng: Tpe(startup, fit, int(rng.integers(2**31)))


def bisection(repeats: int) -> Callable[[np.random.Generator], Way]:
    """Halve the range: up where nine in ten of so many runs are stable, down otherwise."""
    return lambda rng: Bisection(repeats)


class Fitted:
    """Places that no outcome changes, with a logistic fit."""

    def __init__(self, place: Callable[[int], float]) -> None:
        self._place, self._trial, self._fit = place, 0, Fit()

    def next(self) -> float:
        """Where to try."""
        self._trial += 1
        return self._place(self._trial - 1)

    def tell(self, one: Observation) -> None:
        """Take in a trial."""
        self._fit.add(one)

    def lr90(self) -> float:
        """The fit's."""
        return self._fit.lr90()


class Tpe:
    """Optuna's TPE; its answer is the highest stable learning rate seen, or a logistic fit."""

    def __init__(self, startup: int, fit: bool, seed: int) -> None:
        sampler = TPESampler(seed=seed, n_startup_trials=startup)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._use_fit, self._fit, self._highest = fit, Fit(), np.log10(LOW)

    def next(self) -> float:
        """Where to try."""
        self._trial = self._study.ask()
        return float(np.log10(self._trial.suggest_float("lr", LOW, HIGH, log=True)))

    def tell(self, one: Observation) -> None:
        """Take in a trial."""
        self._study.tell(self._trial, 10**one.u if one.stable else 0.0)
        self._fit.add(one)
        if one.stable:
            self._highest = max(self._highest, one.u)

    def lr90(self) -> float:
        """The fit's, or the highest seen."""
        return self._fit.lr90() if self._use_fit else float(self._highest)


class Bisection:
    """Bisection with repeats; it starts again on the whole range when it can't halve any more."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._low, self._high = np.log10(LOW), np.log10(HIGH)
        self._stable: list[bool] = []

    def next(self) -> float:
        """The middle."""
        return float((self._low + self._high) / 2)

    def tell(self, one: Observation) -> None:
        """Take in a trial; a failure too many decides at once."""
        self._stable.append(one.stable)
        allowed = self._repeats // 10
        failed = self._stable.count(False)
        if failed > allowed:
            self._high, self._stable = one.u, []
        elif len(self._stable) == self._repeats:
            self._low, self._stable = one.u, []

    def lr90(self) -> float:
        """The middle of what is left."""
        return self.next()


PEERS: dict[str, dict[str, Callable[[np.random.Generator], Way]]] = {
    "grid": {f"{n} points": grid(n) for n in (5, 9, 13, 17, 25, 41)},
    "random": {
        f"{low:g} to {high:g} of the range": random(low, high)
        for low, high in ((0, 1), (0.05, 0.95), (0.1, 0.9), (0, 0.9), (0.1, 1))
    },
    "tpe": {
        f"{startup} at random first, {'fit' if fit else 'highest stable'}": tpe(startup, fit)
        for startup in (5, 10, 20)
        for fit in (True, False)
    },
    "bisection": {f"{n} a level": bisection(n) for n in (1, 2, 3, 5, 10, 20)},
}


def errors_by_cost(oracle: Oracle, make: Callable[[np.random.Generator], Way], seed: int) -> Floats:
    """Error of a peer's lr90 after 1, 2, ... CAP full runs, in decades: (CAP,)."""
    rng = np.random.default_rng(derived_seed("peer", oracle.name, seed))
    theta = oracle.theta(rng)
    truth = oracle.edge(theta, TARGETS["lr90"])
    way = make(rng)
    spent = 0.0
    errors: list[float] = []
    while len(errors) < CAP:
        one = oracle.run(way.next(), theta, rng)
        way.tell(one)
        spent += one.cost
        # What is known when each full run is spent.
        while len(errors) < min(int(spent), CAP):
            errors.append(way.lr90() - truth)
    return np.array(errors)


def cost_of_error(errors: Floats, error: float) -> int | None:
    """Full runs from which on the median of |errors| (studies, CAP) stays at `error` or below."""
    medians = np.median(np.abs(errors), axis=0)
    above = np.flatnonzero(medians > error)
    if not len(above):
        return 1
    return None if above[-1] == CAP - 1 else int(above[-1]) + 2


def interval_of_cost(errors: Floats, error: float) -> tuple[int | None, int | None]:
    """The 95% interval of `cost_of_error`, by bootstrap of the studies; None is beyond the cap."""
    rng = np.random.default_rng(derived_seed("bootstrap"))
    samples = rng.integers(len(errors), size=(BOOTSTRAPS, len(errors)))
    costs = sorted(cost_of_error(errors[sample], error) or CAP + 1 for sample in samples)
    ends = (costs[int(q * (BOOTSTRAPS - 1))] for q in (0.025, 0.975))
    low, high = (None if end > CAP else end for end in ends)
    return low, high
