"""Made-up networks whose scores are known, and how well the usable learning rate is found there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.special import expit, logit
from scipy.stats import norm

from lr_ceiling.problems.judge import SUCCESS_AT
from lr_ceiling.search.posterior import WIDTH_OF_SCALE, Floats, Observation
from lr_ceiling.simulation.oracles import called_early

# As in params.yaml, for the baselines, and two decades beyond.
LOW, HIGH = -6.0, 2.0
# What may be lost, and how many runs look for usable.
LOSS, RUNS = 0.01, 6
# Where a true curve is looked at, in decades from the edge.
LATTICE = np.arange(-4, 4, 0.002)
# The scores of a run that just counts as trained.
JUST = (0.90, 0.93)


@dataclass(frozen=True)
class Graded:
    """A made-up network, by x = u - shift in decades.

    A fresh seed is stable with a probability that falls from .9 to .1 within as many decades
    about `top`. A score's logit is `curve` plus `scale` times a draw of `noise`, whose median is
    0; the share `stray` of those that train ends just above what counts as trained.
    `well_specified` says that the model can hold it.
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
        """Where this study's network lies, off every grid."""
        return float(rng.uniform(-2.3, -0.8))

    def stable(self, x: Floats) -> Floats:
        """P(stable) of a fresh seed."""
        return np.asarray(expit((self.top - x) * WIDTH_OF_SCALE / self.transition_decades))

    def typical(self, x: Floats) -> Floats:
        """The median score of seeds that train."""
        share = self.stray(x)
        # Strays are the lowest; the median of all is a lower quantile of the others.
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
        """The shift, as an Oracle has it."""
        return self.shift(rng)

    def edge(self, theta: float, target: float) -> float:
        """The highest u with P(stable) of `target`."""
        return float(theta + self.top - logit(target) * self.transition_decades / WIDTH_OF_SCALE)

    def usable(self, theta: float) -> float:
        """The highest u up to which no more than LOSS is lost."""
        return theta + self.below()

    def run(
        self,
        u: float,
        theta: float,
        rng: np.random.Generator,
        let_run_on: bool = False,
        scored: bool = False,
    ) -> Observation:
        """One run of a fresh seed at u: failures are called early, and so is success.

        No call of success ends a run that is `scored`: its score at the end is what it is for.
        """
        score = self.score(u - theta, rng)
        stable = score is not None
        cost = SUCCESS_AT if stable else self.failure_cost
        ends = not (let_run_on or (scored and stable))
        return called_early(u, stable, cost, ends=ends, score=score)

    def score(self, x: float, rng: np.random.Generator) -> float | None:
        """The score of one fresh seed; None where it does not train."""
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


# Batch norm with relu: it falls over 1.5 decades, and what trains far above is no better.
SLOW = _table(
    (-2.5, -1.5, -1, -0.5, 0, 0.5, 1, 2, 3),
    (0.991, 0.9905, 0.988, 0.986, 0.963, 0.953, 0.961, 0.968, 0.960),
)

GRADED = (
    # Batch norm with sigmoid, the baseline with relu, and the one with sigmoid.
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
