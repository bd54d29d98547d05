"""The lagged sampler: trial i follows from the key, i and trials 0..i-lag, and nothing else."""

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import TrialState, create_trial

from lr_ceiling.sampler import INDEX, LaggedSampler

SPACE: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(1e-4, 10, log=True)}
STOCK = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=2),
}


def study_of(values: dict[int, float], order: list[int], make: object, key: str = "k") -> Study:
    study = optuna.create_study(
        direction="maximize",
        sampler=LaggedSampler(make, key, lag=4),  # type: ignore[arg-type]
    )
    for index in order:
        study.add_trial(
            create_trial(
                params={"learning_rate": values[index]},
                distributions=SPACE,
                value=values[index],
                user_attrs={INDEX: index},
            )
        )
    return study


def ask(study: Study, index: int) -> float:
    study.enqueue_trial({}, user_attrs={INDEX: index})
    value: float = study.ask(SPACE).params["learning_rate"]
    return value


@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("name", STOCK)
@given(data=st.data())
def test_order_retries_and_later_trials_do_not_matter(name: str, data: st.DataObject) -> None:
    values = {i: data.draw(st.floats(1e-4, 10), label=f"value {i}") for i in range(8)}
    order = data.draw(st.permutations(range(8)))
    known = study_of(values, list(range(5)), STOCK[name])
    more = study_of(values, order, STOCK[name])
    more.enqueue_trial({}, user_attrs={INDEX: 8})
    more.tell(more.ask(SPACE), state=TrialState.FAIL)
    assert ask(known, 8) == ask(more, 8)


@pytest.mark.parametrize("make", STOCK.values(), ids=STOCK)
def test_index_and_key_matter(make: BaseSampler) -> None:
    values = dict.fromkeys(range(5), 0.1)
    study = study_of(values, list(range(5)), make)
    points = {ask(study, index) for index in (5, 6, 7)}
    other = study_of(values, list(range(5)), make, key="another")
    assert len(points | {ask(other, 5)}) == 4


def test_points_lie_in_the_range() -> None:
    study = study_of({}, [], STOCK["tpe"])
    assert all(1e-4 <= ask(study, index) <= 10 for index in range(50))
