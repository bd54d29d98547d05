"""The sampler: what follows from what, and that it measures a known edge in plain Optuna."""

import math
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import Trial, TrialState, create_trial

from lr_ceiling.search.ceiling import ceiling_of
from lr_ceiling.search.posterior import Observation, Posterior, Range, curves
from lr_ceiling.search.sampler import INDEX, KNOWN, CeilingSampler, finished_trials, observed

LIMITS = 1e-6, 1e2
SPACE: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(*LIMITS, log=True)}


def study_of(outcomes: list[tuple[float, bool]], order: list[int], key: str = "k") -> Study:
    sampler = CeilingSampler(seed=key, lag=4, expected=(1e-4, 1))
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


@pytest.mark.parametrize("decades", [1, 2])
def test_a_narrow_range_has_an_answer_in_its_middle(decades: int) -> None:
    edge = 0.6 * decades - 3

    def objective(trial: Trial) -> bool:
        return trial.suggest_float("lr", 1e-3, 10.0 ** (decades - 3), log=True) < 10**edge

    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    study.optimize(objective, n_trials=20)
    low, high = ceiling_of(study).lr90.ci95
    assert low is not None
    assert high is not None
    assert low < 10**edge < high * 1.06


def test_another_kind_of_parameter_is_refused() -> None:
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    with pytest.raises(ValueError, match=r"lr is .*: it must be log-uniform"):
        study.ask({"lr": FloatDistribution(0.1, 1)})


def test_it_is_a_sampler_of_optuna() -> None:
    assert isinstance(CeilingSampler(), BaseSampler)


def run(rate: float, seed: int) -> bool:
    return bool(rate < 0.1 * np.random.default_rng(seed).uniform(0.5, 2))


def objective(trial: Trial) -> float:
    rate = trial.suggest_float("lr", 1e-4, 10, log=True)
    # The later a trial, the sooner it ends, and others overtake it.
    time.sleep(0.01 * ((7 * trial.number) % 5))
    return float(run(rate, trial.number))


def tried(study: Study) -> list[tuple[float, float]]:
    return [(trial.params["lr"], trial.values[0]) for trial in study.trials]


@pytest.fixture(scope="module")
def alone() -> list[tuple[float, float]]:
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler(seed=1, lag=3))
    study.optimize(objective, n_trials=12)
    return tried(study)


@pytest.mark.parametrize("jobs", [2, 3, 6])
def test_any_number_of_threads_makes_the_same_trials(
    jobs: int, alone: list[tuple[float, float]]
) -> None:
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler(seed=1, lag=3))
    study.optimize(objective, n_trials=12, n_jobs=jobs)
    assert tried(study) == alone


def at_times_broken(trial: Trial) -> float:
    value = objective(trial)
    if trial.number % 4 == 2:
        time.sleep(0.1)
        raise ValueError
    return value


def test_a_trial_that_raises_makes_no_difference_between_threads() -> None:
    def rates(jobs: int) -> list[float]:
        sampler = CeilingSampler(seed=1, lag=3)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.optimize(at_times_broken, n_trials=12, n_jobs=jobs, catch=(ValueError,))
        return [trial.params["lr"] for trial in study.trials]

    assert rates(3) == rates(1)


WORKER = """
import sys
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from lr_ceiling.search.sampler import CeilingSampler
sys.path.insert(0, {tests!r})
from search.test_sampler import objective
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.load_study(
    study_name="s",
    storage=JournalStorage(JournalFileBackend({journal!r})),
    sampler=CeilingSampler(seed=1, lag=3),
)
study.optimize(objective, n_trials=6)
"""


def test_two_processes_make_the_same_trials(
    alone: list[tuple[float, float]], tmp_path: Path
) -> None:
    journal = str(tmp_path / "study.journal")
    storage = JournalStorage(JournalFileBackend(journal))
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    code = WORKER.format(tests=str(Path(__file__).parents[1]), journal=journal)
    workers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert tried(study) == alone


def test_a_process_that_died_is_waited_for_so_long_and_no_longer() -> None:
    sampler = CeilingSampler(lag=1, patience=0.1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.ask().suggest_float("lr", 1e-4, 10, log=True)
    said = r"trial 1 continues without trial 0, .* kept others waiting for 0\.1 s: tell"
    with pytest.warns(UserWarning, match=said):
        study.optimize(objective, n_trials=1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_process_that_died_is_waited_for_once() -> None:
    sampler = CeilingSampler(lag=1, patience=1)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.ask().suggest_float("lr", 1e-4, 10, log=True)
    study.optimize(objective, n_trials=1)
    begun = time.monotonic()
    study.optimize(objective, n_trials=1)
    assert time.monotonic() - begun < 0.9


@pytest.mark.parametrize("expected", [(1.0, 0.1), (0.1, 0.1), (0.0, 1.0), (1.0, math.inf)])
def test_a_range_that_can_not_be_expected_is_refused(expected: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"expected is \(.*\): it must be \(low, high\)"):
        CeilingSampler(expected=expected)


@pytest.mark.parametrize("nothing", [math.nan, np.float32("nan")], ids=["float", "numpy"])
def test_nan_is_a_failure_to_train(nothing: float) -> None:
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    study.optimize(lambda trial: nothing * run_at(trial, 1.0), n_trials=1)
    (trial,) = study.trials
    assert trial.state == TrialState.FAIL
    assert observed(trial, "lr") == Observation(math.log10(trial.params["lr"]), stable=False)
    assert finished_trials(study, "lr") == [trial]
    failed = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    failed.optimize(lambda trial: run_at(trial, 0.0), n_trials=1)
    following = [one.ask().suggest_float("lr", 1e-4, 10, log=True) for one in (study, failed)]
    assert following[0] == following[1] < trial.params["lr"]


@pytest.mark.parametrize("fault", [ValueError, None], ids=["raised", "returned nothing"])
def test_another_failure_tells_nothing(fault: type[Exception] | None) -> None:
    def faulty(trial: Trial) -> None:
        trial.suggest_float("lr", 1e-4, 10, log=True)
        if fault:
            raise fault

    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    study.optimize(faulty, n_trials=1, catch=(ValueError,))  # type: ignore[arg-type]
    assert study.trials[0].state == TrialState.FAIL
    assert finished_trials(study, "lr") == []


def test_infinity_is_no_success() -> None:
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
    study.optimize(lambda trial: run_at(trial, math.inf), n_trials=1)
    assert not observed(study.trials[0], "lr").stable


def run_at(trial: Trial, value: float) -> float:
    trial.suggest_float("lr", 1e-4, 10, log=True)
    return value


@pytest.mark.parametrize(
    ("direction", "space", "told"),
    [
        ("minimize", {"lr": (1e-4, 1)}, r"direction is minimize: create it with direction='maxi"),
        ("maximize", {"lr": (1e-4, 1), "wd": (1e-4, 1)}, r"wd is a second parameter, beside lr: "),
    ],
)
def test_what_is_no_search_for_a_ceiling_is_refused(
    direction: Literal["minimize", "maximize"], space: dict[str, tuple[float, float]], told: str
) -> None:
    study = optuna.create_study(direction=direction, sampler=CeilingSampler())
    distributions: dict[str, BaseDistribution] = {
        name: FloatDistribution(*limits, log=True) for name, limits in space.items()
    }
    with pytest.raises(ValueError, match=told):
        study.ask(distributions)


def test_a_lag_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="lag is 0: it must be at least 1"):
        CeilingSampler(lag=0)
