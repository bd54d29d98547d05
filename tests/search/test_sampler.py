"""The sampler: what follows from what, and that it measures a known edge in plain Optuna."""

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import Trial, TrialState, create_trial

from lr_ceiling.search.posterior import Observation, Posterior, Range, curves
from lr_ceiling.search.sampler import INDEX, KNOWN, CeilingSampler

LIMITS = 1e-6, 1e2
SPACE: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(*LIMITS, log=True)}


def study_of(outcomes: list[tuple[float, bool]], order: list[int], key: str = "k") -> Study:
    sampler = CeilingSampler(key, lag=4, expected=(1e-4, 1))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for index in order:
        rate, stable = outcomes[index]
        study.add_trial(
            create_trial(
                params={"learning_rate": rate},
                distributions=SPACE,
                value=rate if stable else 0.0,
                user_attrs={INDEX: index},
            )
        )
    return study


def ask(study: Study, index: int, **attributes: int) -> float:
    study.enqueue_trial({}, user_attrs={INDEX: index, **attributes})
    return float(study.ask(SPACE).params["learning_rate"])


outcomes = st.lists(st.tuples(st.floats(1e-5, 10), st.booleans()), min_size=8, max_size=8)


@settings(max_examples=10, deadline=None)
@given(outcomes=outcomes, order=st.permutations(range(8)), later=st.booleans())
def test_a_trial_follows_from_what_it_may_know(
    outcomes: list[tuple[float, bool]], order: list[int], later: bool
) -> None:
    known = study_of(outcomes, list(range(8)))
    # Trials 5, 6 and 7 may be under way: where they are is known, what they show is not.
    unseen = [(rate, stable if i < 5 else later) for i, (rate, stable) in enumerate(outcomes)]
    more = study_of(unseen, order)
    more.enqueue_trial({}, user_attrs={INDEX: 8})
    more.tell(more.ask(SPACE), state=TrialState.FAIL)
    assert ask(known, 8) == ask(more, 8)


def test_a_trial_that_waited_knows_more() -> None:
    outcomes = [(10.0**-u, u > 2) for u in (1, 3, 1.5, 2.5, 1.8, 2.2, 2.0, 2.1)]
    study = study_of(outcomes, list(range(8)))
    # Trial 15 is no sentinel, with this key.
    assert ask(study, 15, **{KNOWN: 8}) != ask(study, 15, **{KNOWN: 5})


@pytest.mark.parametrize("prune", [False, True], ids=["value", "pruned"])
def test_a_plain_optuna_study_finds_the_edge(prune: bool) -> None:
    theta, width = -1.37, 0.2
    rng = np.random.default_rng(3)

    def objective(trial: Trial) -> float:
        rate = trial.suggest_float("lr", 1e-4, 1e1, log=True)
        p = 1 / (1 + np.exp((np.log10(rate) - theta) * 2 * np.log(9) / width))
        if rng.random() < p:
            return rate
        if prune:
            raise optuna.TrialPruned
        return 0.0

    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    study.optimize(objective, n_trials=25)
    trials = [
        Observation(float(np.log10(t.params["lr"])), (t.value or 0) > 0) for t in study.trials
    ]
    edge = Posterior(curves(Range(-4, 1, -4, 1)), trials).edge(0.9)
    assert edge.low < theta - width / 2 < edge.high
    assert edge.decades < 1


def test_another_kind_of_parameter_is_refused() -> None:
    study = optuna.create_study(sampler=CeilingSampler())
    with pytest.raises(ValueError, match=r"lr is .*: it must be log-uniform"):
        study.ask({"lr": FloatDistribution(0.1, 1)})


def test_it_is_a_sampler_of_optuna() -> None:
    assert isinstance(CeilingSampler(), BaseSampler)
