"""The usable part of a study by itself: a grid's runs are known, and lr90 nearly so."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from lr_ceiling.identity import derived_seed
from lr_ceiling.search.posterior import Floats
from lr_ceiling.search.usable import GOLDEN, Response, Scored, next_rate, usable_of
from lr_ceiling.simulation.graded import HIGH, LOSS, LOW, RUNS, Graded

# The grid's learning rates and seeds.
GRID_US, GRID_SEEDS = (-3.0, -2.0), 4
# So many runs are under way.
LAG = 4
# How well lr90 is known by then, in decades, and by how many values.
CEILING_SD, CEILINGS = 0.08, 200

# A run: its log10 learning rate, and the score; None where it did not train.
Run = tuple[float, float | None]
# As next_rate.
Place = Callable[[Response, Floats, Floats, float], float]


class Phase(NamedTuple):
    """The usable phase of a study: the truth, lr90 as a search knows it, and all runs in order.

    `truth` and `ceilings` are in log10; a run is its u and its score, None where it did not train.
    """

    truth: float
    ceilings: Floats
    runs: tuple[Run, ...]

    def response(self, own: int) -> Response:
        """What is known with the grid's runs and so many of its own."""
        known = self.runs[: len(GRID_US) * GRID_SEEDS + own]
        return Response([Scored(u, y) for u, y in known if y is not None], LOW, HIGH)


def phase(oracle: Graded, seed: int, runs: int = RUNS, place: Place = next_rate) -> Phase:
    """Play one: `place` chooses where, and knows all scores but those of the LAG - 1 before."""
    rng = np.random.default_rng(derived_seed("usable", oracle.name, seed))
    shift = oracle.shift(rng)
    centre = shift + oracle.lr90() + CEILING_SD * rng.standard_normal()
    ceilings = centre + CEILING_SD * norm.ppf((np.arange(CEILINGS) + 0.5) / CEILINGS)
    grid = (float(u) for u in np.repeat(GRID_US, GRID_SEEDS))
    played = Phase(
        oracle.usable(shift), ceilings, tuple((u, oracle.score(u - shift, rng)) for u in grid)
    )
    for run in range(runs):
        known = max(run - LAG + 1, 0)
        pending = np.array([u for u, _ in played.runs[len(played.runs) - run + known :]])
        u = place(played.response(known), pending, ceilings, LOSS)
        played = played._replace(runs=(*played.runs, (u, oracle.score(u - shift, rng))))
    return played


def judged(played: Phase, own: int) -> dict[str, float]:
    """What so many own runs say, held against the truth; widths and errors in decades."""
    usable = usable_of(played.response(own), played.ceilings, LOSS)
    low, high = (np.nan if end is None else float(np.log10(end)) for end in usable.ci95)
    middle = np.nan if usable.estimate is None else float(np.log10(usable.estimate))
    return {
        # An end that is not bounded excludes nothing.
        "covered": float(not (low > played.truth or high < played.truth)),
        "bounded": float(usable.estimate is not None),
        "error": middle - played.truth,
        "decades": high - low,
    }


def study(
    oracle: Graded, seed: int, runs: int = RUNS, place: Place = next_rate
) -> dict[str, float]:
    """One study: what it found, held against the truth."""
    return judged(phase(oracle, seed, runs, place), runs)


def spread_out(response: Response, pending: Floats, ceilings: Floats, loss: float) -> float:
    """A way to compare with: places spread evenly from half a decade below the grid to lr90."""
    own = len(response.scored) + len(pending)
    low, high = min(GRID_US) - 0.5, float(np.quantile(ceilings, 0.1))
    return low + (high - low) * ((own + 0.5) * GOLDEN % 1)


def summarise(studies: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Shares and medians over studies; errors and widths where the rate is bounded."""

    def middle(name: str) -> float:
        return float(np.nanmedian([one[name] for one in studies]))

    def share(name: str) -> float:
        return float(np.mean([one[name] for one in studies]))

    return {
        "covered": share("covered"),
        "bounded": share("bounded"),
        "bias": middle("error"),
        "error": float(np.nanmedian(np.abs([one["error"] for one in studies]))),
        "decades": middle("decades"),
    }
