"""Workers: results whatever ends first, whoever is killed, and no process left behind."""

import importlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from conftest import children_of, is_alive, small_spec, wait_until
from lr_ceiling.errors import DatasetError, WorkerError
from lr_ceiling.execution.workers import Task, Workers


def training_workers() -> set[int]:
    """This process's children that run trainings, without the resource tracker."""
    return {
        child
        for child in children_of(os.getpid())
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    }


def test_results_come_in_the_order_of_the_tasks_and_survive_a_killed_worker(
    small_splits: Path, digest: str
) -> None:
    specs = [small_spec(digest, seed=seed, steps_per_epoch=60) for seed in range(3)]
    tasks = [Task(spec, small_splits) for spec in specs]
    seen: list[int] = []
    with Workers(2, seen.append) as workers:
        undisturbed = [ended.result for ended in workers.execute(tasks)]
        assert [result.spec for result in undisturbed] == specs
        assert seen[-1] <= sum(result.steps for result in undisturbed)
        for task in tasks:
            workers.submit(task)
        os.kill(next(iter(training_workers())), signal.SIGKILL)
        again = {workers.completed().result for _ in tasks}
    assert again == set(undisturbed)
    assert not training_workers()


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_needed_later_is_imported_while_runs_train(
    small_splits: Path, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needed_later.py").write_text("")
    (tmp_path / "broken_later.py").write_text("raise ValueError")
    imported: list[tuple[int, bool]] = []

    def on_steps(steps: int) -> None:
        imported.append((steps, "needed_later" in sys.modules))

    task = Task(small_spec(digest, steps_per_epoch=600), small_splits)
    with Workers(1, on_steps, ["needed_later"]) as workers:
        workers.execute([task])
    # Not before the first steps, and not as late as the end.
    before = {found for steps, found in imported if steps == 0}
    assert (before, imported[-1][1]) == ({False}, True)
    with Workers(1, needed_later=["broken_later"]) as workers:
        workers.execute([Task(small_spec(digest), small_splits)])
    with pytest.raises(ValueError):  # noqa: PT011
        importlib.import_module("broken_later")


def test_a_run_that_always_ends_its_process_is_given_up(small_splits: Path, digest: str) -> None:
    with Workers(1) as workers:
        workers.submit(Task(small_spec(digest, steps_per_epoch=20_000), small_splits))

        def kill_all() -> bool:
            for process in training_workers():
                os.kill(process, signal.SIGKILL)
            return False

        import threading

        stop = threading.Event()

        def keep_killing() -> None:
            while not stop.is_set():
                kill_all()
                time.sleep(0.2)

        killer = threading.Thread(target=keep_killing)
        killer.start()
        try:
            with pytest.raises(
                WorkerError, match=r"killed 3 times while .* seed=0 was under way: free"
            ):
                workers.completed()
        finally:
            stop.set()
            killer.join()


def test_what_a_run_raises_reaches_the_driver(tmp_path: Path, digest: str) -> None:
    with Workers(1) as workers, pytest.raises(DatasetError, match="missing"):
        workers.execute([Task(small_spec(digest), tmp_path / "missing.npz")])
    assert not training_workers()


def test_workers_end_with_a_driver_that_is_killed(small_splits: Path, digest: str) -> None:
    driver_code = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from conftest import small_spec
        from lr_ceiling.execution.workers import Task, Workers

        if __name__ == "__main__":
            with Workers(2, lambda steps: print(steps, flush=True)) as workers:
                specs = [small_spec({digest!r}, seed=s, steps_per_epoch=20_000) for s in (0, 1)]
                workers.execute([Task(spec, Path({str(small_splits)!r})) for spec in specs])
        """
    )
    path = small_splits.parent / "driver.py"
    path.write_text(driver_code)
    driver = subprocess.Popen([sys.executable, path], stdout=subprocess.PIPE, text=True)
    assert driver.stdout
    # Both train: a worker that has not begun would not be a test of one that has.
    assert any(int(line) > 0 for line in driver.stdout)
    workers = children_of(driver.pid)
    assert len(workers) >= 2
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not any(map(is_alive, workers)))
