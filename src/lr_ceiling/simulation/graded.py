"""Simulated networks with known scores, which test the search for the usable learning rate."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import expit, logit
from scipy.stats import norm

from lr_ceiling.problems.judge import SUCCESS_AT
from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Floats, Observation
from lr_ceiling.simulation.oracles import called_early

# As in params.yaml for the baselines, plus two decades beyond.
LOW, HIGH = -6.0, 2.0
# The allowed loss, and the number of runs for the usable rate.
LOSS, RUNS = 0.01, 6
# Points at which a true curve is evaluated, in decades from the edge.
LATTICE = np.arange(-4, 4, 0.002)
# The range of scores of a run that just counts as trained.
JUST = (0.90, 0.93)


@dataclass(frozen=True)
class Graded:
    """A simulated network, as a function of x = u - shift in decades.

    P(stable) of a fresh seed falls from .9 to .1 within the given width around `top`. A score's
    logit is `curve` plus `scale` times a draw of `noise`, whose median is 0. The share `stray` of
    the runs that train ends just above the target. `well_specified` says that the model of the
    search includes this network.
    """

    name: str
    curve: Callable[[Floats], Floats]
    scale: Callable[[Floats], Floats] = lambda x: np.full(np.shape(x), 0.15)
    noise: Callable[[np.random.Generator], float] = lambda rng: float(rng.standard_normal())
    stray: Callable[[Floats], Floats] = lambda x: np.zeros(np.shape(x))
    top: float = 0.0
    transition_decades: float = 0.15
    failure_cost: float = 0.1
    well_specified: bool = True

    def shift(self, rng: np.random.Generator) -> float:
        """The random shift of this study's network, off every grid."""
        return float(rng.uniform(-2.3, -0.8))

    def stable(self, x: Floats) -> Floats:
        """P(stable) of a fresh seed."""
        return np.asarray(expit((self.top - x) * WIDTH_OF_SCALE / self.transition_decades))

    def typical(self, x: Floats) -> Floats:
        """The median score of seeds that train."""
        share = self.stray(x)
        # Strays have the lowest scores, so the median of all is a lower quantile of the others.
        return np.asarray(
            expit(self.curve(x) + self.scale(x) * norm.ppf((0.5 - share) / (1 - share)))
        )

    def lr90(self) -> float:
        """The highest x with P(stable) of .9."""
        return self.top - self.transition_decades / 2

    def below(self, loss: float = LOSS) -> float:
        """The highest x, not above lr90, with a typical score within `loss` of the best."""
        x = np.append(LATTICE[self.lr90() > LATTICE], self.lr90())
        typical = self.typical(x)
        return float(x[typical >= typical.max() - loss].max())

    def theta(self, rng: np.random.Generator) -> float:
        """The shift, under the name that Oracle uses."""
        return self.shift(rng)

    def edge(self, theta: float, target: float) -> float:
        """The highest u with P(stable) of `target`."""
        return float(theta + self.top - logit(target) * self.transition_decades / WIDTH_OF_SCALE)

    def usable(self, theta: float) -> float:
        """The highest u up to which at most LOSS is lost."""
        return theta + self.below()

    def run(
        self,
        u: float,
        theta: float,
        rng: np.random.Generator,
        let_run_on: bool = False,
        scored: bool = False,
    ) -> Observation:
        """One run of a fresh seed at u, in which failure and success are called early.

        A call of success does not end a `scored` run, which needs its final score.
        """
        score = self.score(u - theta, rng)
        stable = score is not None
        cost = SUCCESS_AT if stable else self.failure_cost
        ends = not (let_run_on or (scored and stable))
        return called_early(u, stable, cost, ends=ends, score=score)

    def score(self, x: float, rng: np.random.Generator) -> float | None:
        """The score of one fresh seed; None if it does not train."""
        at = np.array([x])
        trains, strays, noise = rng.random(), rng.random(), self.noise(rng)
        low, high = JUST
        just = float(rng.uniform(low, high))
        if trains >= self.stable(at)[0]:
            return None
        if strays < self.stray(at)[0]:
            return just
        return float(expit(self.curve(at) + self.scale(at) * noise)[0])


def _knee(top: float, slope: float, at: float, width: float) -> Callable[[Floats], Floats]:
    """Flat, then falling by `slope` a decade from `at` on."""
    return lambda x: np.asarray(top - slope * width * np.logaddexp(0, (x - at) / width))


def _table(x: Sequence[float], accuracy: Sequence[float]) -> Callable[[Floats], Floats]:
    through = PchipInterpolator(x, logit(np.array(accuracy)), extrapolate=False)
    return lambda at: np.asarray(through(np.clip(at, x[0], x[-1])))


def _near(most: float, at: float, width: float = 0.08) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(most * expit((x - at) / width))


# Batch norm with relu: scores fall over 1.5 decades, and do not rise again far above.
SLOW = _table(
    (-2.5, -1.5, -1, -0.5, 0, 0.5, 1, 2, 3),
    (0.991, 0.9905, 0.988, 0.986, 0.963, 0.953, 0.961, 0.968, 0.960),
)

GRADED = (
    # Batch norm with sigmoid, the relu baseline, and the sigmoid baseline.
    Graded("knee", _knee(4.5, 3.5, -0.7, 0.1)),
    Graded("slope", _knee(4.35, 1.3, -0.9, 0.2)),
    Graded("cut", _knee(3.95, 2.0, -0.05, 0.05)),
    Graded("slow-decline", SLOW, top=2.5, transition_decades=0.4),
    Graded("peak", lambda x: 4.2 - 0.9 * (x + 1.1) ** 2),
    Graded("gentle", lambda x: 4.3 - 0.45 * np.logaddexp(0, 2 * (x + 2)) / 2, top=0.5),
    Graded(
        "growing-noise",
        _knee(4.35, 1.3, -0.9, 0.2),
        scale=lambda x: 0.08 + 0.4 * expit((x + 0.4) / 0.15),
    ),
    Graded("noisy", _knee(4.35, 1.3, -0.9, 0.2), scale=lambda x: np.full(np.shape(x), 0.5)),
    Graded(
        "heavy-tails",
        _knee(4.35, 1.3, -0.9, 0.2),
        noise=lambda rng: float(rng.standard_t(2)),
        well_specified=False,
    ),
    Graded("two-modes", _knee(4.35, 1.3, -0.9, 0.2), stray=_near(0.25, -0.4), well_specified=False),
    Graded(
        "two-modes-cut", _knee(3.95, 1.0, -0.2, 0.1), stray=_near(0.3, -0.2), well_specified=False
    ),
    Graded("cliff", _knee(4.3, 8.0, -0.25, 0.03), well_specified=False),
)
