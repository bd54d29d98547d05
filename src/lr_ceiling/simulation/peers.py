"""Other search methods for a ceiling, each in several configurations."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import optuna
from optuna.samplers import TPESampler

from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Observation
from lr_ceiling.simulation.oracles import HIGH, LOW

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Way(Protocol):
    """A search method: it proposes learning rates, gets results, and has an answer at any time."""

    def next(self) -> float:
        """The next log10 learning rate."""

    def tell(self, one: Observation) -> None:
        """Record a trial."""

    def lr90(self) -> float:
        """The answer so far, as log10."""


class Fit:
    """Logistic regression on log10 lr over a grid of curves, the usual fit to a sweep.

    It returns the most probable curve, without lapses, under a flat prior of edge and width.
    """

    WIDTHS = 0.02 * 2.0 ** np.arange(0, 7.5, 0.5)

    def __init__(self) -> None:
        theta = np.arange(np.log10(LOW), np.log10(HIGH) + 0.01, 0.02)
        self._theta, self._width = (
            axis.ravel() for axis in np.meshgrid(theta, self.WIDTHS, indexing="ij")
        )
        self._score = np.zeros(len(self._theta))

    def add(self, one: Observation) -> None:
        """Record a trial."""
        x = (self._theta - one.u) * WIDTH_OF_SCALE / self._width
        self._score -= np.logaddexp(0, -x if one.stable else x)

    def lr90(self) -> float:
        """The most probable curve's u at P(stable) = 0.9; the mean if several are most probable."""
        best = self._score >= self._score.max() - 1e-9
        return float(np.mean((self._theta - self._width / 2)[best]))


def grid(points: int) -> Callable[[np.random.Generator], Way]:
    """A repeated sweep over evenly spaced learning rates, with a logistic fit."""

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
    """Halve the range: go up if nine in ten of `repeats` runs are stable, otherwise down."""
    return lambda rng: Bisection(repeats)


class Fitted:
    """Learning rates that do not depend on outcomes, with a logistic fit."""

    def __init__(self, place: Callable[[int], float]) -> None:
        self._place, self._trial, self._fit = place, 0, Fit()

    def next(self) -> float:
        """The next log10 learning rate."""
        self._trial += 1
        return self._place(self._trial - 1)

    def tell(self, one: Observation) -> None:
        """Record a trial."""
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
        """The next log10 learning rate."""
        self._trial = self._study.ask()
        return float(np.log10(self._trial.suggest_float("lr", LOW, HIGH, log=True)))

    def tell(self, one: Observation) -> None:
        """Record a trial."""
        self._study.tell(self._trial, 10**one.u if one.stable else 0.0)
        self._fit.add(one)
        if one.stable:
            self._highest = max(self._highest, one.u)

    def lr90(self) -> float:
        """The answer of the fit, or the highest stable learning rate seen."""
        return self._fit.lr90() if self._use_fit else float(self._highest)


class Bisection:
    """Bisection with repeats. It restarts on the whole range when it can't halve any further."""

    def __init__(self, repeats: int) -> None:
        self._repeats = repeats
        self._low, self._high = np.log10(LOW), np.log10(HIGH)
        self._stable: list[bool] = []

    def next(self) -> float:
        """The middle of the remaining range."""
        return float((self._low + self._high) / 2)

    def tell(self, one: Observation) -> None:
        """Record a trial. One failure too many decides at once."""
        self._stable.append(one.stable)
        allowed = self._repeats // 10
        failed = self._stable.count(False)
        if failed > allowed:
            self._high, self._stable = one.u, []
        elif len(self._stable) == self._repeats:
            self._low, self._stable = one.u, []

    def lr90(self) -> float:
        """The middle of the remaining range, as the answer."""
        return self.next()


def questplus(entropy_of_edge: bool) -> Callable[[np.random.Generator], Way]:
    """QUEST+: minimizes the expected posterior entropy, of the edge or of all parameters."""
    return lambda rng: QuestPlus(entropy_of_edge)


class QuestPlus:
    """QUEST+ (Watson 2017): a grid of edge, width and lapse, and the query of least entropy.

    It ignores the cost of a trial. Its answer is the mean of lr90.
    """

    WIDTHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    LAPSES = (0.0, 0.02, 0.05, 0.1)
    STEP = 0.05

    def __init__(self, entropy_of_edge: bool) -> None:
        places = np.arange(np.log10(LOW), np.log10(HIGH) + self.STEP / 2, self.STEP)
        axes = np.meshgrid(places, self.WIDTHS, self.LAPSES, indexing="ij")
        theta, width, lapse = (axis.ravel() for axis in axes)
        scale = width / WIDTH_OF_SCALE
        self._places, self._edge = places, entropy_of_edge
        self._lr90 = theta - scale * np.log(0.9 / (0.1 - lapse + 1e-9)) * (lapse < 0.1)
        self._stable = (1 - lapse) / (1 + np.exp((places[:, None] - theta) / scale))
        self._weights = np.full(len(theta), 1 / len(theta))
        self._edges = len(self.WIDTHS) * len(self.LAPSES)

    def next(self) -> float:
        """The learning rate whose outcome leaves the least expected entropy."""
        expected = np.zeros(len(self._places))
        for p in (self._stable, 1 - self._stable):
            joint = p * self._weights
            total = joint.sum(axis=1)
            after = joint / np.maximum(total, 1e-300)[:, None]
            if self._edge:
                after = after.reshape(len(after), -1, self._edges).sum(axis=2)
            expected -= total * (after * np.log(np.maximum(after, 1e-300))).sum(axis=1)
        return float(self._places[expected.argmin()])

    def tell(self, one: Observation) -> None:
        """Record a trial, at the nearest grid point."""
        p = self._stable[np.abs(self._places - one.u).argmin()]
        self._weights = self._weights * (p if one.stable else 1 - p)
        self._weights = self._weights / self._weights.sum()

    def lr90(self) -> float:
        """The mean of the edges with P(stable) = 0.9."""
        return float(self._weights @ self._lr90)


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
    "questplus": {"of all parameters": questplus(False), "of the edge": questplus(True)},
}
