"""Where to try next: an Optuna sampler that measures the edge of stability, with an interval.

Each trial goes where it promises most information about the highest learning rate that is stable
with probability 0.9, per training step that it is expected to cost. It works in any Optuna study
with one log-uniform parameter.
"""

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from lr_ceiling.search.acquisition import Explorer
from lr_ceiling.search.posterior import NO_CALLS, Calls, Observation, Range

# The user attribute that holds a trial's place in its study. Optuna numbers a retried trial anew.
INDEX = "index"

# How many trials' results a trial knows, in the order of their places; else all but the lag's.
KNOWN = "known"

# What a finished trial showed, as an Observation; else its value says it.
OBSERVATION = "observation"


class CeilingSampler(BaseSampler):
    """Measures the highest learning rate that is stable with probability 0.9, in an Optuna study.

    The study has one parameter, `suggest_float(..., log=True)`, whose limits no trial leaves;
    `expected` says where the edge is likely to be (all of it by default). A finished trial was
    stable if its value is above 0; a pruned one was not. Trial i knows the results of trials
    0..i-lag alone, and where those between were tried: so it is the same for any number of workers
    up to the lag. User attributes `index`, `known` and `observation` say otherwise.
    """

    def __init__(
        self,
        key: str = "",
        lag: int = 1,
        expected: tuple[float, float] | None = None,
        calls: Calls = NO_CALLS,
    ) -> None:
        self._key, self._lag, self._expected, self._calls = key, lag, expected, calls
        self._explorers: dict[Range, Explorer] = {}

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give nothing: the parameter is sampled by itself."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Give nothing, as `infer_relative_search_space` asks for nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> float:
        """The next learning rate. Raises ValueError for another parameter than a log-uniform."""
        if not isinstance(param_distribution, FloatDistribution) or not param_distribution.log:
            raise ValueError(f"{param_name} is {param_distribution}: it must be log-uniform")
        limits = param_distribution.low, param_distribution.high
        expected = self._expected or limits
        bounds = Range(*(float(np.log10(rate)) for rate in (*expected, *limits)))
        explorer = self._explorers.setdefault(bounds, Explorer(bounds, self._key, self._calls))
        index = place(trial)
        known = trial.user_attrs.get(KNOWN, index - self._lag + 1)
        observations, pending = [], []
        for earlier in _in_order(study, param_name, index):
            u = float(np.log10(earlier.params[param_name]))
            if place(earlier) < known and earlier.state.is_finished():
                observations.append(_observed(earlier, u))
            else:
                pending.append(u)
        rate = 10 ** explorer.choose(index, observations, np.array(pending))
        return float(np.clip(rate, *limits))


def place(trial: FrozenTrial) -> int:
    """A trial's place in its study."""
    return int(trial.user_attrs.get(INDEX, trial.number))


def _observed(trial: FrozenTrial, u: float) -> Observation:
    if OBSERVATION in trial.user_attrs:
        return Observation(*trial.user_attrs[OBSERVATION])
    return Observation(u, trial.state == TrialState.COMPLETE and trial.values[0] > 0)


def _in_order(study: Study, parameter: str, before: int) -> list[FrozenTrial]:
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING]
    trials = study.get_trials(deepcopy=False, states=states)
    earlier = [trial for trial in trials if place(trial) < before and parameter in trial.params]
    return sorted(earlier, key=place)
