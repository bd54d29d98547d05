"""The study: the same trials for any order of endings, any interruption, any damage of a kill."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from conftest import small_run, small_spec
from lr_ceiling.errors import LockedError
from lr_ceiling.evidence.study import observation
from lr_ceiling.execution.driver import Plan, drive
from lr_ceiling.execution.journal import open_study
from lr_ceiling.execution.workers import Ended, Task
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.search.sampler import INDEX, CeilingSampler
from lr_ceiling.search.schedule import Aim

HORIZON = 100
EDGE = 0.1


class KilledError(Exception):
    """The driver is gone."""


class OracleWorkers:
    """Ends tasks in a random order, with the outcome of a network whose ceiling is known.

    Dies as a driver does after `lives` results.
    """

    def __init__(self, seed: int = 0, lives: int = 10**9, processes: int = 4) -> None:
        self._random = random.Random(seed)
        self._lives = lives
        self._processes = processes
        self._tasks: list[Task] = []

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def completed(self) -> Ended:
        if not self._lives:
            raise KilledError
        self._lives -= 1
        under_way = self._tasks[: self._processes]
        task = under_way[self._random.randrange(len(under_way))]
        self._tasks.remove(task)
        return Ended(task, oracle(task.spec), 0.0, 0.0)


def oracle(spec: RunSpec) -> RunResult:
    luck = random.Random(spec.seed).uniform(0.5, 2)
    if spec.learning_rate < EDGE * luck:
        return small_run(**spec.model_dump(), steps=HORIZON)
    return small_run(**spec.model_dump(), label="dead", called="dead", called_at=10, steps=10)


def make_plan(lag: int = 4, budget: float = 8) -> Plan:
    def spec(index: int, rate: float) -> RunSpec:
        seed = derived_seed("test", index)
        return small_spec("0" * 64, learning_rate=rate, seed=seed, steps_per_epoch=HORIZON)

    return Plan(Aim("test", 1e-4, 10, interval_decades=0.05, budget=budget, lag=lag), spec)


def sampler(plan: Plan) -> CeilingSampler:
    aim = plan.aim
    return CeilingSampler(aim.key, aim.lag, (aim.low, aim.high), aim.calls)


def run_study(journal: Path, plan: Plan, workers: OracleWorkers) -> list[RunResult]:
    with open_study(journal, sampler(plan)) as study:
        return drive(study, plan, workers, Path("unused"))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    journal = tmp_path_factory.mktemp("study") / "study.journal"
    return run_study(journal, make_plan(), OracleWorkers(processes=1))


def test_the_budget_is_kept_and_used(undisturbed: list[RunResult]) -> None:
    steps = sum(run.steps for run in undisturbed)
    assert 7 * HORIZON < steps <= 8 * HORIZON
    assert {run.label for run in undisturbed} == {"stable", "dead"}


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    processes=st.integers(1, 4),
    deaths=st.lists(st.integers(0, 9), max_size=4),
)
def test_the_trials_are_the_same_however_they_come_about(
    seed: int,
    processes: int,
    deaths: list[int],
    undisturbed: list[RunResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    journal = tmp_path_factory.mktemp("study") / "study.journal"
    for lives in deaths:
        try:
            run_study(journal, make_plan(), OracleWorkers(seed, lives, processes))
        except KilledError:
            continue
    assert run_study(journal, make_plan(), OracleWorkers(seed, processes=processes)) == undisturbed
    with open_study(journal, RandomSampler()) as study:
        done = [t.user_attrs[INDEX] for t in study.get_trials(states=[TrialState.COMPLETE])]
        assert sorted(done) == list(range(len(undisturbed)))
        assert not study.get_trials(states=[TrialState.RUNNING, TrialState.WAITING])


def test_a_larger_budget_goes_on_where_the_smaller_ended(
    undisturbed: list[RunResult], tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    small = run_study(journal, make_plan(budget=4), OracleWorkers())
    ran: list[int] = []
    with open_study(journal, sampler(make_plan())) as study:
        large = drive(
            study,
            make_plan(),
            OracleWorkers(),  # type: ignore[arg-type]
            Path("unused"),
            lambda index, ended: ran.append(index),
        )
    assert large == undisturbed
    assert large[: len(small)] == small
    assert sorted(ran) == list(range(len(small), len(large)))
    assert run_study(journal, make_plan(budget=4), OracleWorkers()) == small


def cut_the_last_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-20])


def add_half_a_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 5, "wor')


def leave_optunas_lock(journal: Path) -> None:
    Path(f"{journal}.lock").symlink_to(journal)


@pytest.mark.parametrize("damage", [cut_the_last_line, add_half_a_line, leave_optunas_lock])
def test_what_a_kill_leaves_is_mended(
    damage: Callable[[Path], None], undisturbed: list[RunResult], tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    with pytest.raises(KilledError):
        run_study(journal, make_plan(), OracleWorkers(lives=5))
    damage(journal)
    assert run_study(journal, make_plan(), OracleWorkers()) == undisturbed


def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    with (
        open_study(journal, RandomSampler()),
        pytest.raises(LockedError, match=r"another search has the study .*study\.journal open"),
        open_study(journal, RandomSampler()),
    ):
        pass


def test_what_a_run_says_of_its_learning_rate() -> None:
    stable = observation(oracle(make_plan().spec(0, 1e-4)))
    assert (stable.u, stable.stable, stable.called, stable.cost) == (-4, True, False, 1)
    dead = observation(oracle(make_plan().spec(0, 10)))
    assert (dead.u, dead.stable, dead.called, dead.ended, dead.cost) == (1, False, True, True, 0.1)
    audited = observation(small_run(label="stable", called="dead", called_at=10, steps=20))
    assert (audited.stable, audited.called, audited.ended) == (True, True, False)
    nan = observation(small_run(label="diverged", called="diverged", called_at=3, steps=3))
    assert (nan.called, nan.ended) == (True, False)


def test_failed_attempts_are_told_fail_and_not_sampled_from(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    with pytest.raises(KilledError):
        run_study(journal, make_plan(), OracleWorkers(lives=0))
    with open_study(journal, RandomSampler()) as study:
        assert {trial.state for trial in study.trials} == {TrialState.FAIL}
        with pytest.raises(ValueError, match="No trials are completed"):
            _ = study.best_trial
