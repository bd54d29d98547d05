"""Optuna samplers whose answer depends on no luck, no worker count and no interruption."""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from lr_ceiling.runs import derived_seed

# The user attribute that holds a trial's place in its study. Optuna numbers a retried trial anew.
INDEX = "index"


class LaggedSampler(BaseSampler):
    """Gives trial i the point that a stock sampler gives on trials 0..i-lag alone.

    A new stock sampler, made by `make(seed)` with a seed of its own for each i, is shown those
    trials in the order of their index, whenever and wherever they ended. So trial i is the same
    for any number of workers up to the lag, and after a kill and a resume.

    Each trial must carry its index in the user attribute `index`.
    """

    def __init__(self, make: Callable[[int], BaseSampler], key: str, lag: int) -> None:
        self._make = make
        self._key = key
        self._lag = lag

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Give nothing: every parameter is sampled by itself."""
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
    ) -> Any:
        """Give the stock sampler's point for this trial's index."""
        index = trial.user_attrs[INDEX]
        seen = _finished(study, before=index - self._lag + 1)
        replay = optuna.create_study(
            direction=study.direction, sampler=self._make(derived_seed(self._key, "sampler", index))
        )
        replay.add_trials(seen)
        return replay.ask({param_name: param_distribution}).params[param_name]


def _finished(study: Study, before: int) -> list[FrozenTrial]:
    trials = study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])
    seen = [trial for trial in trials if trial.user_attrs[INDEX] < before]
    return sorted(seen, key=lambda trial: trial.user_attrs[INDEX])
