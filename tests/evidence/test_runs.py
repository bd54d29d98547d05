"""Many runs that can be stopped at any time."""

from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.runs import run_all
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.runner import Ended, Runner
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from lr_ceiling.mnist.version import engine_digest


class CountingRunner(Runner):
    """Ends tasks in reverse order and counts them; it dies after `lives` results."""

    def __init__(self, lives: int = 10**9) -> None:
        self.tasks: list[TrainingTask] = []
        self.ran = 0
        self._lives = lives

    def submit(self, task: object, group: str = "") -> None:
        assert isinstance(task, TrainingTask)
        self.tasks.append(task)

    def completed(self) -> Ended:
        if self.ran == self._lives:
            raise KeyboardInterrupt
        self.ran += 1
        task = self.tasks.pop()
        return Ended(task, small_run(**task.spec.model_dump()), 0.0, 0.0)


SPECS = [small_spec("d", seed=seed) for seed in range(5)]


def run(folder: Path, runner: Runner, specs: list[RunSpec] = SPECS) -> list[RunResult]:
    return run_all(specs, Path("unused"), RunStore(folder), runner)


def test_results_come_in_the_order_of_the_specs(tmp_path: Path) -> None:
    assert [result.spec for result in run(tmp_path, CountingRunner())] == SPECS


def test_what_was_run_before_a_stop_is_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, CountingRunner(lives=3))
    again = CountingRunner()
    assert [result.spec for result in run(tmp_path, again)] == SPECS
    assert again.ran == 2


def test_runs_of_other_code_are_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, CountingRunner())
    before = engine_digest()
    monkeypatch.setattr("lr_ceiling.mnist.version.LIBRARIES", ("numpy",))
    assert engine_digest() != before
    again = CountingRunner()
    run(tmp_path, again)
    assert again.ran == 5


def test_runs_with_a_test_accuracy_answer_for_those_without(tmp_path: Path) -> None:
    folder, splits = RunStore(tmp_path), Path("unused")
    first = CountingRunner()
    tested = run_all(SPECS, splits, folder, first, test=True)
    assert all(task.test for task in first.tasks)
    assert {one.test_accuracy for one in tested} == {0.94}
    again = CountingRunner()
    run_all(SPECS, splits, folder, again, test=True)
    run(tmp_path, again)
    assert again.ran == 0


def test_runs_without_a_test_accuracy_are_run_again_where_it_is_asked_for(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for spec in SPECS:
        store.keep(small_run(**spec.model_dump(), test_accuracy=None))
    tested = CountingRunner()
    run_all(SPECS, Path("unused"), store, tested, test=True)
    assert tested.ran == 5


def test_a_spec_that_is_named_twice_is_run_once_and_given_twice(tmp_path: Path) -> None:
    runner = CountingRunner()
    specs = [SPECS[0], SPECS[1], SPECS[0]]
    assert [result.spec for result in run(tmp_path, runner, specs)] == specs
    assert runner.ran == 2


def test_real_workers_give_what_they_give_alone(
    small_splits: Path, digest: str, tmp_path: Path
) -> None:
    specs = [small_spec(digest, seed=seed) for seed in (0, 1)]
    store = RunStore(tmp_path)
    with Runner(lambda: local_executor(2, PREPARED_BY), 2) as runner:
        first = run_all(specs, small_splits, store, runner)
        told: list[RunResult] = []
        assert run_all(specs, small_splits, store, runner, told.append) == first
    assert not told
    assert [one.steps for one in first] == [20, 20]
