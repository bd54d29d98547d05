"""The answer of a search: the highest stable learning rates, with credible intervals."""

import html
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.study import Study, StudyDirection

from lr_ceiling.errors import MissingExtra, StudyError
from lr_ceiling.rounding import short, significant
from lr_ceiling.search.estimates import LIKELY, SURE, TARGETS, Estimate, Estimates
from lr_ceiling.search.posterior import (
    NO_CALLS,
    Calls,
    Observation,
    Posterior,
    Range,
    Tally,
    curves,
)
from lr_ceiling.search.sampler import (
    EXPECTED,
    INDEX,
    KNOWN,
    OBSERVATION,
    PART,
    finished_trials,
    observed,
)
from lr_ceiling.search.schedule import Part
from lr_ceiling.search.usable import Usable, nothing_usable, scored_of, usable_below

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

# The study's attribute with the audited early calls, for later readers of the study.
CALLS = "calls"
# The study's attribute with the allowed loss of score at the usable rate.
LOSS = "loss"
# The study's attribute with the mode, "min", if lower scores are better.
BETTER = "better"
# The study's attribute that is False where some runs were computed on another kind of processor
# than the driver's.
SAME_ARITHMETIC = "same_arithmetic"
# The user attribute that holds a trial's result as text.
RESULT = "result"
# The user attributes of the search itself, which `trials` leaves out.
INTERNAL = (INDEX, KNOWN, OBSERVATION, PART, RESULT)


@dataclass(frozen=True)
class Asked:
    """The question about the usable rate: the allowed loss, and which scores are better."""

    loss: float
    mode: Literal["max", "min"] = "max"


class Ceiling:
    """The highest learning rates at which a network still trains, as far as the trials show.

    `lr90` and `lr50` are the highest learning rates at which a fresh seed is stable with
    probability 0.9 and 0.5. Each is an Estimate with a 95% credible interval, and holds None where
    the trials don't bound it. `reason` says why `lr90` has no number. `exists` is the probability
    that an lr90 exists; the intervals assume that it does. `usable` is the highest learning rate
    up to which no accuracy is lost. `study` is the Optuna study. `runs` holds the result of each
    trial's run, in order; it is empty if the ceiling was read from a study. `same_arithmetic` is
    False if a cluster's worker has another kind of processor than the driver: last digits then
    differ.

    Examples:
        >>> import random
        >>> def run(learning_rate, seed):
        ...     return learning_rate < 0.1 * random.Random(seed).lognormvariate(0, 0.2)
        >>> ceiling = find_ceiling(run, low=1e-3, high=10, progress=False)
        >>> ceiling.lr90
        Estimate(estimate=0.08254, ci95=(0.04449, 0.09441))
        >>> round(ceiling.exists, 3)
        0.964
    """

    def __init__(
        self,
        study: Study,
        bounds: Range,
        observations: Sequence[Observation],
        calls: Calls = NO_CALLS,
        runs: Sequence[Any] = (),
        parts: Sequence[Part] = (),
        asked: Asked | None = None,
    ) -> None:
        """`bounds` are in log10; `observations` are the trials in order of their places.

        `parts` names the part of the search to which each trial belongs; `asked` is the question
        about the usable rate.
        """
        self.study = study
        # Read now: the study's journal may be moved later.
        self.same_arithmetic = bool(study.user_attrs.get(SAME_ARITHMETIC, True))
        self.runs = list(runs)
        self.parts = list(parts)
        self._asked = asked
        self.estimates = Estimates(Posterior(curves(bounds), observations, calls))
        self._observations = list(observations)
        # Selected now: a study that continues, or had a larger budget before, has other trials too.
        self._trials = (
            finished_trials(study, _parameter(study))[: len(observations)] if observations else []
        )

    @property
    def lr90(self) -> Estimate:
        """The highest learning rate at which nine fresh seeds in ten are stable."""
        return self.at(TARGETS["lr90"])

    @property
    def lr50(self) -> Estimate:
        """The highest learning rate at which half of all fresh seeds are stable."""
        return self.at(TARGETS["lr50"])

    @cached_property
    def exists(self) -> float:
        """Probability that any learning rate is stable nine times in ten."""
        return float(self.estimates.posterior.edge(TARGETS["lr90"]).exists)

    @cached_property
    def usable(self) -> Usable:
        """The highest learning rate, not above lr90, up to which no accuracy is lost.

        At it a typical seed that trains ends within `usable.loss` of the best score that any
        learning rate reaches. Where there is no number, `usable.reason` says why.
        """
        if self._asked is None:
            told = "not asked for: loss= says how much of the score may be lost"
            return nothing_usable(None, told)
        scored = scored_of(self._observations)
        found = usable_below(self.estimates.posterior, scored, self._asked.loss)
        return found if self._asked.mode == "max" else found.negated()

    def at(self, p: float) -> Estimate:
        """The highest learning rate at which a fresh seed is stable with probability `p`.

        Raises ValueError if `p` is not between 0 and 1.
        """
        if not 0 < p < 1:
            raise ValueError(f"p is {p}: it must lie between 0 and 1")
        return self.estimates.estimate(p)

    def probability(self, learning_rate: float) -> Estimate:
        """P(a fresh seed is stable) at `learning_rate`, with its 95% interval.

        Raises ValueError if `learning_rate` is not above 0.
        """
        if not learning_rate > 0 or not math.isfinite(learning_rate):
            raise ValueError(f"learning_rate is {learning_rate}: it must be above 0")
        mean, low, high = self.estimates.posterior.band(np.array([math.log10(learning_rate)]))
        return Estimate(estimate=round(float(mean[0]), 4), ci95=_pair(low[0], high[0]))

    @property
    def full_runs(self) -> float:
        """What the trials cost, in full runs."""
        return round(sum(one.cost for one in self._observations), 3)

    @property
    def reason(self) -> str | None:
        """Why `lr90` has no number; None if it has one."""
        stable = [one for one in self._observations if one.stable]
        failed = [one for one in self._observations if not one.stable]
        tried = len(self._observations)
        if self.lr90.estimate is not None:
            return None
        if not tried:
            return "no trial has ended"
        if not stable:
            low, high = _span(failed)
            told = f"no run was stable: {tried} of {tried} failed between {low} and {high}"
            return f"{told}{self._scores()}"
        if not failed:
            _, high = _span(stable)
            return f"no ceiling found up to {high}: {tried} of {tried} runs were stable"
        if self.exists < LIKELY:
            rate, found = self.estimates.surest()
            return (
                "there is probably no learning rate that is stable nine times in ten (probability "
                f"{1 - self.exists:.2f}); the best is {short(rate, 3)}, which is stable with "
                f"probability {found.in_words()}"
            )
        low_end, high_end = self.lr90.ci95
        if low_end is not None:
            _, high = _span(stable)
            return (
                "the trials don't bound it from above: "
                f"{len(stable)} of {tried} runs were stable, the highest at {high}"
            )
        if high_end is not None:
            low, _ = _span(failed)
            return (
                "the trials don't bound it from below: "
                f"{len(failed)} of {tried} runs failed, the lowest at {low}"
            )
        return f"{tried} trials don't bound it: try a larger budget"

    def _scores(self) -> str:
        """The range of the trials' scores, if they have scores."""
        found = [trial.user_attrs.get("score") for trial in self._trials]
        scores = [score for score in found if isinstance(score, float)]
        return f"; their scores are {min(scores):.4g} to {max(scores):.4g}" if scores else ""

    @property
    def trials(self) -> "pd.DataFrame":
        """One row per finished trial, in order: learning rate, stable, cost, details of its run.

        Raises MissingExtra without pandas.
        """
        if not find_spec("pandas"):
            raise _missing("trials", "pandas")
        import pandas as pd

        rows = []
        for trial, seen in zip(self._trials, self._observations, strict=True):
            shown = {
                name: value for name, value in trial.user_attrs.items() if name not in INTERNAL
            }
            rate = significant(10**seen.u, 12)
            own = {"learning_rate": rate, "stable": seen.stable, "cost": seen.cost}
            # The first union sets the order of columns, the second one overrides equal names.
            rows.append(own | shown | own)
        return pd.DataFrame(rows).rename_axis(index="trial")

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw P(stable) with its 95% band, the trials, and the answer. Returns matplotlib's axes.

        Raises MissingExtra without matplotlib.
        """
        if not find_spec("matplotlib"):
            raise _missing("plot()", "matplotlib")
        from lr_ceiling.search.figure import draw

        return draw(self.estimates, self.usable, self._observations, ax)

    def to_json(self) -> str:
        """The answer as JSON, without the trials' runs: null where there is no number.

        It has `same_arithmetic` where that is false.
        """
        found: dict[str, Any] = {
            "lr90": asdict(self.lr90),
            "lr50": asdict(self.lr50),
            "exists": round(self.exists, 4),
            "reason": self.reason,
            "usable": self.usable.content(),
            "trials": len(self._observations),
            "stable": sum(one.stable for one in self._observations),
            "full_runs": self.full_runs,
        }
        if not self.same_arithmetic:
            found[SAME_ARITHMETIC] = False
        return json.dumps(found, indent=2, allow_nan=False)

    def __str__(self) -> str:
        """The answer in one line."""
        count = len(self._observations)
        trials = f"{count} trial{'s' * (count != 1)}"
        usable = self.usable.in_words(digits=3)
        begins = "usable is" if self.usable.ci95[0] is None else "no accuracy lost up to"
        told = [] if usable is None else [f"{begins} {usable}"]
        if self.reason is not None:
            return "; ".join([self.reason, *told])
        doubt = (
            f", if any learning rate trains nine times in ten (probability {self.exists:.2f})"
            if self.exists < SURE
            else ""
        )
        return "; ".join([f"trains up to {self.lr90.in_words(digits=3)}{doubt}", *told, trials])

    def __repr__(self) -> str:
        return f"<Ceiling: {self}>"

    def _repr_html_(self) -> str:
        """The answer as a small table, for notebooks."""
        rows = [
            ("trains up to (lr90)", self.lr90.in_words(digits=3) or "?"),
            ("no accuracy lost up to (usable)", self.usable.in_words(digits=3) or "?"),
            ("half of all seeds train up to (lr50)", self.lr50.in_words(digits=3) or "?"),
            ("probability that lr90 exists", f"{self.exists:.2f}"),
            ("trials", f"{len(self._observations)}, {self.full_runs:g} full runs"),
        ]
        if self.reason:
            rows.append(("why there is no lr90", self.reason))
        if self.usable.reason:
            rows.append(("why there is no usable", self.usable.reason))
        cells = "".join(
            f"<tr><th style='text-align:left'>{name}</th><td>{html.escape(value)}</td></tr>"
            for name, value in rows
        )
        return f"<table>{cells}</table>"


def ceiling_of(study: Study) -> Ceiling:
    """Estimate the ceiling from the finished trials of a study, chosen by any sampler.

    The study must have one log-uniform parameter. A trial was stable if its value is above 0: see
    CeilingSampler. Raises StudyError for a study of another form.

    Examples:
        >>> study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
        >>> study.optimize(
        ...     lambda trial: trial.suggest_float("lr", 1e-4, 100, log=True) < 0.1, n_trials=20
        ... )
        >>> print(ceiling_of(study))
        trains up to 0.0994 (0.0553 to 0.106); 20 trials
    """
    if study.directions != [StudyDirection.MAXIMIZE]:
        said = ", ".join(direction.name.lower() for direction in study.directions)
        raise StudyError(
            f"the study's direction is {said}: a ceiling needs direction='maximize', and a value "
            "above 0 where a run was stable"
        )
    parameter = _parameter(study)
    distributions = {
        trial.distributions[parameter]
        for trial in study.get_trials(deepcopy=False)
        if parameter in trial.distributions
    }
    if len(distributions) > 1:
        raise StudyError(f"{parameter} has several ranges in this study: a ceiling needs one")
    (distribution,) = distributions
    if not isinstance(distribution, FloatDistribution) or not distribution.log:
        raise StudyError(
            f"{parameter} is {distribution}: it must be log-uniform, suggest_float(..., log=True)"
        )
    limits = distribution.low, distribution.high
    if distribution.single():
        raise StudyError(f"{parameter} is {limits[0]:g} in each trial: a ceiling needs a range")
    expected = study.user_attrs.get(EXPECTED, limits)
    bounds = Range(*(math.log10(rate) for rate in (*expected, *limits)))
    calls = Calls(*(Tally(*tally) for tally in study.user_attrs.get(CALLS, NO_CALLS)))
    trials = finished_trials(study, parameter)
    seen = [observed(trial, parameter) for trial in trials]
    parts: list[Part] = [trial.user_attrs.get(PART, "edge") for trial in trials]
    loss = study.user_attrs.get(LOSS)
    asked = None if loss is None else Asked(loss, study.user_attrs.get(BETTER, "max"))
    return Ceiling(study, bounds, seen, calls, parts=parts, asked=asked)


def plot_ceiling(study: Study, ax: "Axes | None" = None) -> "Axes":
    """Draw the ceiling of a study: see `ceiling_of` and `Ceiling.plot`.

    Examples:
        >>> axes = plot_ceiling(study)
        >>> axes.figure.savefig("ceiling.png")
    """
    return ceiling_of(study).plot(ax)


def _parameter(study: Study) -> str:
    names = {name for trial in study.get_trials(deepcopy=False) for name in trial.params}
    if len(names) != 1:
        found = ", ".join(sorted(names)) or "none"
        raise StudyError(f"the study's parameters are: {found}. A ceiling has exactly one")
    return names.pop()


def _span(observations: Sequence[Observation]) -> tuple[str, str]:
    us = [one.u for one in observations]
    return short(10 ** min(us), 3), short(10 ** max(us), 3)


def _pair(low: Any, high: Any) -> tuple[float, float]:
    return round(float(low), 4), round(float(high), 4)


def _missing(what: str, library: str) -> MissingExtra:
    return MissingExtra(f"{what} needs {library}: pip install 'lr-ceiling[plot]'")
