"""An Optuna sampler that measures the edge of stability, with an interval.

Each trial maximizes the expected information about the highest learning rate that is stable with
probability 0.9, per expected training step. The sampler works in any Optuna study with one
log-uniform parameter.
"""

import inspect
import math
import time
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lr_ceiling.search.acquisition import Explorer
from lr_ceiling.search.posterior import NO_CALLS, Calls, Observation, Range

# The user attribute with a trial's place in its study. Optuna gives a retried trial a new number.
INDEX = "index"

# The number of earlier trials whose results a trial knows. By default a trial knows all results
# except those of the last lag - 1 trials.
KNOWN = "known"

# The part of the search to which the trial belongs (schedule.Part), by default the edge.
PART = "part"

# The result of a finished trial as an Observation. By default it follows from the trial's value.
OBSERVATION = "observation"

# The study's attribute with the expected range of the edge, for later readers of the study.
EXPECTED = "expected"

# Seconds between checks of an earlier trial that is still in progress.
POLL = 0.02


class CeilingSampler(BaseSampler):
    """Measures the highest learning rate that is stable with probability 0.9, in an Optuna study.

    The study needs direction "maximize" and one parameter, `suggest_float(..., log=True)`. All
    trials stay within its limits. Choose wide limits: an edge in the last decade at either end gets
    no number, because it may lie beyond. In a range below four decades this applies to the last
    quarter.

    A finished trial was stable if its value is finite and above 0. A pruned trial, and a trial
    whose objective returned NaN, was not stable. A trial that raised an exception is ignored.

    Trial i knows the results of trials 0 to i - lag, and the learning rates of the later ones. So
    the trials are the same for any number of threads or processes up to `lag`, if the objective is
    deterministic: use `trial.number` as the seed of a run. Under `study.optimize`, a trial waits
    until the trials whose results it needs have ended.

    Args:
        seed: decides which trials search above the interval for another stable range.
        lag: how many trials may be in progress at once.
        expected: the expected range of the edge, (low, high); by default the parameter's limits.
        calls: early calls that were audited before.
        loss: the allowed loss of score, for trials of find_ceiling that search for the usable rate.
        patience: how many seconds a later trial waits for a trial in progress; choose more than any
            run takes. A killed process leaves its trial in progress for ever.

    Raises:
        ValueError: an argument is impossible; or, when a parameter is suggested, the direction or
            the kind of parameter is another one, or there is a second parameter.

    Examples:
        >>> import optuna, random
        >>> def objective(trial):
        ...     rate = trial.suggest_float("learning_rate", 1e-4, 100, log=True)
        ...     return rate < 0.1 * random.Random(trial.number).lognormvariate(0, 0.2)
        >>> study = optuna.create_study(direction="maximize", sampler=CeilingSampler(lag=4))
        >>> study.optimize(objective, n_trials=20, n_jobs=4)
        >>> print(ceiling_of(study))
        trains up to 0.0674 (0.01 to 0.0965); 20 trials
    """

    def __init__(
        self,
        *,
        seed: int | str = 0,
        lag: int = 1,
        expected: tuple[float, float] | None = None,
        calls: Calls = NO_CALLS,
        loss: float | None = None,
        patience: float = 3600,
    ) -> None:
        if lag < 1:
            raise ValueError(f"lag is {lag}: it must be at least 1")
        if expected is not None and not 0 < expected[0] < expected[1] < math.inf:
            raise ValueError(f"expected is {expected}: it must be (low, high), 0 < low < high")
        self._key, self._lag, self._expected, self._calls = str(seed), lag, expected, calls
        self._patience, self._loss = patience, loss
        self._waited_since: dict[tuple[str, int], float] = {}
        self._explorers: dict[Range, Explorer] = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """An empty space: the parameter is sampled by `sample_independent`."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """No parameters: the relative search space is empty."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> float:
        """The next learning rate."""
        limits = _checked(study, trial, param_name, param_distribution)
        expected = self._expected or limits
        if self._expected and EXPECTED not in study.user_attrs:
            study.set_user_attr(EXPECTED, list(self._expected))
        bounds = Range(*(float(np.log10(rate)) for rate in (*expected, *limits)))
        explorer = self._explorers.setdefault(
            bounds, Explorer(bounds, self._key, self._calls, self._loss)
        )
        index = place(trial)
        known = trial.user_attrs.get(KNOWN, index - self._lag + 1)
        observations, pending, edges = [], [], []
        for earlier in self._earlier(study, param_name, index, known):
            if place(earlier) >= known or not earlier.state.is_finished():
                pending.append(float(np.log10(earlier.params[param_name])))
            elif _tells(earlier):
                observations.append(observed(earlier, param_name))
                if earlier.user_attrs.get(PART, "edge") == "edge":
                    edges.append(observations[-1])
        part = trial.user_attrs.get(PART, "edge")
        if part == "confirm":
            u = explorer.limit(edges, observations)
        elif part == "usable":
            u = explorer.below(observations, np.array(pending))
        else:
            u = explorer.choose(index, observations, np.array(pending))
        return float(np.clip(10**u, *limits))

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Record that a trial returned NaN. Optuna sets its state to FAIL without the reason."""
        if state != TrialState.FAIL or not _gave_nan() or len(trial.params) != 1:
            return
        (rate,) = trial.params.values()
        observation = Observation(float(np.log10(rate)), stable=False)
        study._storage.set_trial_user_attr(trial._trial_id, OBSERVATION, observation)

    def _earlier(self, study: Study, parameter: str, index: int, known: int) -> list[FrozenTrial]:
        """The trials before `index` that have the parameter, in order.

        Under `study.optimize` this waits until the first `known` trials have ended and the others
        have their parameter.
        """
        while True:
            trials = study.get_trials(deepcopy=False)
            awaited = [
                one
                for one in trials
                if one.state == TrialState.RUNNING
                and (place(one) < known or (place(one) < index and parameter not in one.params))
            ]
            # With study.ask() one thread may ask for several trials, so waiting would block it.
            if not awaited or not study._thread_local.in_optimize_loop:
                return _in_order(trials, parameter, index)
            if all([self._is_given_up(study, one) for one in awaited]):  # noqa: C419
                warnings.warn(
                    f"trial {index} continues without trial {place(awaited[0])}, which has kept "
                    f"others waiting for {self._patience:g} s: tell the study that it failed if "
                    "its process is gone",
                    stacklevel=2,
                )
                return _in_order(trials, parameter, index)
            time.sleep(POLL)

    def _is_given_up(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether trials of this process have waited for this one longer than `patience`."""
        # Start times don't help: clocks of machines differ, and storages omit the time zone.
        now = time.monotonic()
        since = self._waited_since.setdefault((study.study_name, trial.number), now)
        return now - since > self._patience


def place(trial: FrozenTrial) -> int:
    """A trial's place in its study."""
    return int(trial.user_attrs.get(INDEX, trial.number))


def observed(trial: FrozenTrial, parameter: str) -> Observation:
    """The observation of a finished trial."""
    if OBSERVATION in trial.user_attrs:
        return Observation(*trial.user_attrs[OBSERVATION])
    stable = (
        trial.state == TrialState.COMPLETE
        and math.isfinite(trial.values[0])
        and trial.values[0] > 0
    )
    return Observation(float(np.log10(trial.params[parameter])), stable)


def finished_trials(study: Study, parameter: str) -> list[FrozenTrial]:
    """The finished trials of a study with a usable result, in the order of their places."""
    trials = _in_order(study.get_trials(deepcopy=False), parameter)
    return [trial for trial in trials if trial.state.is_finished() and _tells(trial)]


def _in_order(
    trials: Iterable[FrozenTrial], parameter: str, before: float = math.inf
) -> list[FrozenTrial]:
    # Keep the last trial of each place: a killed driver left the former one in progress.
    last = {
        place(trial): trial
        for trial in trials
        if parameter in trial.params and place(trial) < before
    }
    return [last[index] for index in sorted(last)]


def _tells(trial: FrozenTrial) -> bool:
    """Whether the trial has a result, or may still get one."""
    return trial.state != TrialState.FAIL or OBSERVATION in trial.user_attrs


def _checked(
    study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
) -> tuple[float, float]:
    """The limits of the parameter."""
    if study.directions != [StudyDirection.MAXIMIZE]:
        said = ", ".join(direction.name.lower() for direction in study.directions)
        raise ValueError(
            f"the study's direction is {said}: create it with direction='maximize', and return "
            "more than 0 from the objective where a run is stable"
        )
    if not isinstance(distribution, FloatDistribution) or not distribution.log:
        raise ValueError(
            f"{name} is {distribution}: it must be log-uniform, suggest_float(..., log=True)"
        )
    if others := [other for other in trial.params if other != name]:
        raise ValueError(
            f"{name} is a second parameter, beside {others[0]}: a ceiling has one; fix the others"
        )
    return distribution.low, distribution.high


def _gave_nan() -> bool:
    """Whether the value passed to Optuna is NaN. Samplers learn of a failure, not of its reason."""
    frame = inspect.currentframe()
    while frame and frame.f_code.co_name != "_tell_with_warning":
        frame = frame.f_back
    told = frame.f_locals.get("value_or_values") if frame else None
    value = told[0] if isinstance(told, list | tuple) and len(told) == 1 else told
    # As in Optuna, a value that can't be converted to a float is another failure.
    try:
        return math.isnan(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
