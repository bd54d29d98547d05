"""Fresh seeds, to the full horizon, at the measured ceilings and at the rates of range tests."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from lr_ceiling.errors import ResultsError
from lr_ceiling.evidence.records import (
    Arm,
    Study,
    TriedFinder,
    VerifiedArm,
    VerifiedPoint,
    read_study,
)
from lr_ceiling.evidence.study import ArmTrials, measure, observation
from lr_ceiling.evidence.verification import LIMIT, USABLE, points_of
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunSummary, read_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.search.posterior import CREDIBLE, Posterior

# Number of fresh seeds at each point of an arm, and at each rate of a range test.
SEEDS, FINDER_SEEDS = 20, 5
# The share of seeds at lr90's lower limit that must be stable, however wide the prediction: if
# P(stable) is 0.9, at least 16 of 20 are stable with probability 0.96.
LEAST = 0.8
# At the usable rate the typical accuracy may be below the best by the allowed loss, plus this
# uncertainty of twenty seeds.
LEFT_OPEN = 0.003

Run = Callable[[Sequence[RunSpec]], Sequence[RunSummary]]


class Search(NamedTuple):
    """An arm's search, and the template of fresh runs, without learning rate and seed."""

    study: Study
    posterior: Posterior
    template: RunSpec

    @property
    def arm(self) -> Arm:
        """The arm of the search."""
        return self.study.variant, self.study.activation


class Suggestion(NamedTuple):
    """A learning rate from a range test, and whether the test's sweep stopped."""

    name: str
    learning_rate: float
    stopped: bool


def read_search(folder: Path, trials_of: Callable[[Study], ArmTrials]) -> Search:
    """Read a search. Raises ResultsError if its trials are not those of `trials_of` its arm."""
    study = read_study(folder / "study.json")
    trials = trials_of(study)
    if trials.aim.key != study.key:
        raise ResultsError(f"{folder} is of other params, data or audit: run `dvc repro`")
    seen = list(map(observation, read_runs(folder / "runs.json")))
    posterior = measure(trials.aim, seen).estimates.posterior
    return Search(study, posterior, trials.template.model_copy(update={"ended_by": ()}))


def verify(
    searches: Sequence[Search],
    suggestions_of: Callable[[Search], Iterable[Suggestion]],
    run: Run,
    known: Iterable[VerifiedArm] = (),
) -> Iterator[tuple[VerifiedArm, ...]]:
    """Verify the points of every arm, then the rates of range tests; yield all arms after each.

    `known` arms were verified before, under the same conditions. Their points and range tests are
    reused if learning rate and number of seeds are the same.
    """
    before = {(arm.variant, arm.activation): arm for arm in known}
    arms: dict[Arm, VerifiedArm] = {}
    rest = dict(before)
    for search in searches:
        arms[search.arm] = VerifiedArm(
            variant=search.study.variant,
            activation=search.study.activation,
            points=verify_points(search, run, before.get(search.arm)),
            finders=known_finders(search, before.get(search.arm)),
        )
        rest.pop(search.arm, None)
        yield (*arms.values(), *rest.values())
    for search in searches:
        finders = verify_finders(search, suggestions_of(search), run, before.get(search.arm))
        arms[search.arm] = arms[search.arm].model_copy(update={"finders": finders})
        yield (*arms.values(), *rest.values())


def verify_points(
    search: Search, run: Run, known: VerifiedArm | None = None
) -> tuple[VerifiedPoint, ...]:
    """Twenty fresh seeds at each point of the study; known ones are reused."""
    counted = {
        (point.at, point.learning_rate, point.seeds): point
        for point in (known.points if known else ())
    }
    points = []
    for name, rate in points_of(search.study).items():
        point = counted.get((name, rate, SEEDS))
        if point is None:
            runs = fresh_seeds(search.study.key, name, rate, SEEDS, search.template, run)
            point = _verified(name, rate, runs)
        points.append(held_against(search, point))
    return tuple(points)


def _verified(name: str, rate: float, runs: Sequence[RunSummary]) -> VerifiedPoint:
    trained = [run.accuracy_by_weights for run in runs if run.label == "stable"]
    return VerifiedPoint(
        at=name,
        learning_rate=rate,
        seeds=len(runs),
        stable=len(trained),
        accuracy=round(median(trained), 4) if trained else None,
        predicted=(0, len(runs)),
        right=False,
    )


def held_against(search: Search, point: VerifiedPoint) -> VerifiedPoint:
    """A verified point, compared with the search's prediction."""
    low, high = predicted(search.posterior, point.learning_rate, point.seeds)
    right = low <= point.stable <= high
    if point.at == LIMIT:
        right = right and point.stable >= LEAST * point.seeds
    if point.at == USABLE:
        usable, typical = search.study.usable, point.accuracy
        best, loss = usable.best.accuracy, usable.loss
        if best is None or loss is None or typical is None:
            right = False
        else:
            right = right and typical >= best - loss - LEFT_OPEN
    return point.model_copy(update={"predicted": (low, high), "right": right})


def verify_finders(
    search: Search,
    suggestions: Iterable[Suggestion],
    run: Run,
    known: VerifiedArm | None = None,
) -> tuple[TriedFinder, ...]:
    """Five fresh seeds at each of these learning rates."""
    counted = {
        (one.name, one.learning_rate, one.seeds): one.stable
        for one in (known.finders if known else ())
    }
    found = []
    for name, rate, stopped in suggestions:
        stable = counted.get((name, rate, FINDER_SEEDS))
        if stable is None:
            key = "-".join(("finder", *search.arm))
            runs = fresh_seeds(key, name, rate, FINDER_SEEDS, search.template, run)
            stable = sum(one.label == "stable" for one in runs)
        found.append(
            TriedFinder(
                name=name,
                learning_rate=rate,
                stopped=stopped,
                probability=probability(search.posterior, rate),
                seeds=FINDER_SEEDS,
                stable=stable,
            )
        )
    return tuple(found)


def known_finders(search: Search, known: VerifiedArm | None) -> tuple[TriedFinder, ...]:
    """The range tests of an arm that was verified before, compared with the present search."""
    return tuple(
        one.model_copy(update={"probability": probability(search.posterior, one.learning_rate)})
        for one in (known.finders if known else ())
    )


def runs_to_verify(
    searches: Iterable[Search], suggestions: int, known: Iterable[VerifiedArm] = ()
) -> int:
    """The maximum number of runs of a verification, with these suggestions per arm."""
    before: Mapping[Arm, VerifiedArm] = {(arm.variant, arm.activation): arm for arm in known}
    count = 0
    for search in searches:
        arm = before.get(search.arm)
        there = {(one.at, one.learning_rate, one.seeds) for one in (arm.points if arm else ())}
        points = points_of(search.study).items()
        count += SEEDS * sum((name, rate, SEEDS) not in there for name, rate in points)
        count += FINDER_SEEDS * (suggestions - (len(arm.finders) if arm else 0))
    return count


def probability(posterior: Posterior, rate: float) -> float | None:
    """P(stable) at `rate`; None outside the limits, where no trial could contradict the curve."""
    u, bounds = float(np.log10(rate)), posterior.curves.bounds
    if not bounds.lowest <= u <= bounds.highest:
        return None
    return round(float(posterior.band(np.array([u]))[0][0]), 4)


def fresh_seeds(
    key: str, name: str, rate: float, seeds: int, template: RunSpec, run: Run
) -> Sequence[RunSummary]:
    """Runs of fresh seeds at `rate`, all to their horizon. Each rate has its own seeds."""
    specs = [
        template.model_copy(
            update={"learning_rate": rate, "seed": derived_seed("verify", key, name, rate, index)}
        )
        for index in range(seeds)
    ]
    return run(specs)


def predicted(posterior: Posterior, rate: float, runs: int) -> tuple[int, int]:
    """The 95% interval of the number of stable runs among `runs` fresh seeds at `rate`."""
    below = posterior.predictive(float(np.log10(rate)), runs).cumsum()
    tail = (1 - CREDIBLE) / 2
    return int(np.searchsorted(below, tail)), int(np.searchsorted(below, 1 - tail))
