"""Many runs that can be stopped at any time."""

from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.runs import path_of, run_all
from lr_ceiling.execution.workers import Ended, Task, Workers
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.version import engine_digest


class CountingWorkers:
    """Ends tasks in reverse order and counts them; it dies after `lives` results."""

    def __init__(self, lives: int = 10**9) -> None:
        self.tasks: list[Task] = []
        self.ran = 0
        self._lives = lives

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def completed(self) -> Ended:
        if self.ran == self._lives:
            raise KeyboardInterrupt
        self.ran += 1
        task = self.tasks.pop()
        return Ended(task, small_run(**task.spec.model_dump()), 0.0, 0.0)


SPECS = [small_spec("d", seed=seed) for seed in range(5)]


def run(folder: Path, workers: CountingWorkers, specs: list[RunSpec] = SPECS) -> list[RunResult]:
    return run_all(specs, Path("unused"), folder, workers)  # type: ignore[arg-type]


def test_results_come_in_the_order_of_the_specs(tmp_path: Path) -> None:
    assert [result.spec for result in run(tmp_path, CountingWorkers())] == SPECS


def test_what_was_run_before_a_stop_is_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, CountingWorkers(lives=3))
    again = CountingWorkers()
    assert [result.spec for result in run(tmp_path, again)] == SPECS
    assert again.ran == 2


def test_runs_of_other_code_are_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, CountingWorkers())
    before = engine_digest()
    monkeypatch.setattr("lr_ceiling.mnist.version.LIBRARIES", ("numpy",))
    assert engine_digest() != before
    again = CountingWorkers()
    run(tmp_path, again)
    assert again.ran == 5


def test_runs_with_a_test_accuracy_are_others(tmp_path: Path) -> None:
    run(tmp_path, CountingWorkers())
    tested = CountingWorkers()
    run_all(SPECS, Path("unused"), tmp_path, tested, test=True)  # type: ignore[arg-type]
    assert tested.ran == 5
    assert path_of(SPECS[0], tmp_path, test=True).exists()
    again = CountingWorkers()
    run_all(SPECS, Path("unused"), tmp_path, again, test=True)  # type: ignore[arg-type]
    run(tmp_path, again)
    assert again.ran == 0


def test_real_workers_give_what_they_give_alone(
    small_splits: Path, digest: str, tmp_path: Path
) -> None:
    specs = [small_spec(digest, seed=seed) for seed in (0, 1)]
    with Workers(2) as workers:
        first = run_all(specs, small_splits, tmp_path, workers)
        told: list[RunResult] = []
        assert run_all(specs, small_splits, tmp_path, workers, told.append) == first
    assert not told
    assert [one.steps for one in first] == [20, 20]
