"""The runner: results whatever ends first, whoever is killed, and no process left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import is_alive
from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.runner import Ended, Report, Runner, Task, work
from tasks import Failing, Square, Suicidal
from waiting import wait_until

TESTS = Path(__file__).parents[1]


@contextmanager
def local_runner(
    processes: int, on_steps: Callable[[Mapping[str, int]], None] | None = None
) -> Iterator[Runner]:
    with Runner(lambda: local_executor(processes), processes, on_steps) as runner:
        yield runner


def worker_of(mark: Path) -> int:
    return int(mark.name.rpartition("-")[2])


def workers_of(marks: Path) -> set[int]:
    return set(map(worker_of, marks.iterdir()))


def test_results_come_in_the_order_of_the_tasks_and_survive_a_killed_worker(tmp_path: Path) -> None:
    tasks = [Square(number, wait=0.3 * (number == 1), marks=tmp_path) for number in (1, 2, 3, 4)]
    seen: list[int] = []
    with local_runner(2, lambda steps: seen.append(sum(steps.values()))) as runner:
        assert [ended.result for ended in runner.execute(tasks)] == [1, 4, 9, 16]
        assert seen == sorted(seen)
        slow = [Square(number, wait=1.0, marks=tmp_path) for number in (11, 12)]
        for task in slow:
            runner.submit(task)
        assert wait_until(lambda: len(list(tmp_path.glob("1[12]-*"))) == 2)
        (path,) = tmp_path.glob("11-*")
        os.kill(worker_of(path), signal.SIGKILL)
        assert {runner.completed().result for _ in slow} == {121, 144}
    assert wait_until(lambda: not any(map(is_alive, workers_of(tmp_path))))


def test_a_process_that_starts_while_another_is_killed_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pool terminates its processes and then waits for all of them. One that starts in between
    # is not terminated, as none is here, and waits for tasks behind the lock of the killed one.
    monkeypatch.setattr("lr_ceiling.execution.executor._Process.terminate", lambda process: None)
    results: list[int] = []

    def run() -> None:
        with local_runner(2) as runner:
            runner.execute([Square(number, wait=0.5, marks=tmp_path) for number in (1, 2)])
            runner.submit(Square(11, wait=1.0, marks=tmp_path))
            assert wait_until(lambda: any(tmp_path.glob("11-*")))
            (path,) = tmp_path.glob("11-*")
            (idle,) = workers_of(tmp_path) - {worker_of(path)}
            os.kill(idle, signal.SIGKILL)
            results.append(runner.completed().result)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    try:
        assert not thread.is_alive(), "the runner waits for ever"
        assert results == [121]
    finally:
        for worker in workers_of(tmp_path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def test_equal_tasks_are_run_once_each() -> None:
    with local_runner(2) as runner:
        assert [ended.result for ended in runner.execute([Square(3), Square(3)])] == [9, 9]


def test_steps_are_told_by_group_and_count_what_has_ended() -> None:
    told: list[Mapping[str, int]] = []
    with local_runner(1, lambda steps: told.append(dict(steps))) as runner:
        runner.submit(Square(5), "own")
        runner.submit(Square(7, wait=0.1), "ahead")
        runner.completed()
        runner.completed()
        runner.submit(Square(1), "own")
        runner.completed()
    assert told[-1] in ({"own": 5, "ahead": 7}, {"own": 6, "ahead": 7})


def test_no_executor_is_started_before_the_first_task() -> None:
    def start() -> ThreadPoolExecutor:
        raise AssertionError

    with Runner(start, 2) as runner:
        assert (runner.free, runner.busy) == (2, False)


def test_any_executor_will_do() -> None:
    with Runner(lambda: ThreadPoolExecutor(2), 2) as runner:
        assert [ended.result for ended in runner.execute([Square(2), Square(3)])] == [4, 9]


class ClockSetBack:
    """Sets the clock of its process back by an hour."""

    def __call__(self, report: Report) -> None:
        real = time.time
        time.time = lambda: real() - 3600


def test_a_clock_that_is_set_back_changes_no_duration(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back after the test, since the task runs in a thread of this process.
    monkeypatch.setattr("time.time", time.time)
    with Runner(lambda: ThreadPoolExecutor(1), 1) as runner:
        (ended,) = runner.execute([ClockSetBack()])
    assert 0 <= ended.seconds < 600


def test_a_task_that_always_ends_its_process_is_given_up() -> None:
    with (
        local_runner(1) as runner,
        pytest.raises(WorkerError, match="killed 3 times while executing a hopeless task: free"),
    ):
        runner.execute([Suicidal()])


def test_what_a_task_raises_reaches_the_driver_and_ends_our_processes_alone(tmp_path: Path) -> None:
    with local_runner(1) as other:
        other.submit(Square(9, wait=1.5, marks=tmp_path))
        assert wait_until(lambda: any(tmp_path.iterdir()))
        with local_runner(1) as runner, pytest.raises(ArithmeticError, match="so it is"):
            runner.execute([Failing()])
        assert all(map(is_alive, workers_of(tmp_path)))
        # The other one is not even restarted.
        assert other.completed().result == 81
        assert len(workers_of(tmp_path)) == 1


@pytest.mark.parametrize("when", ["imported", "prepared"])
def test_a_worker_that_cannot_start_is_told_in_its_own_words(when: str, tmp_path: Path) -> None:
    body = {
        "imported": "failure = OSError('libfoo.so:\\n no such file')\ndef prepare(): raise failure",
        "prepared": "def prepare(): raise OSError('libfoo.so: no such file')",
    }
    (tmp_path / "unready.py").write_text(body[when])
    script = textwrap.dedent(
        f"""
        import sys
        sys.path[:0] = [{str(TESTS)!r}, {str(tmp_path)!r}]
        from tasks import Square
        from lr_ceiling.errors import WorkerError
        from lr_ceiling.execution.executor import local_executor
        from lr_ceiling.execution.runner import Runner

        if __name__ == "__main__":
            try:
                with Runner(lambda: local_executor(2, "unready"), 2) as runner:
                    runner.execute([Square(1), Square(2)])
            except WorkerError as error:
                print(error)
        """
    )
    (tmp_path / "driver.py").write_text(script)
    done = subprocess.run(
        [sys.executable, tmp_path / "driver.py"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "a worker can't start: OSError: libfoo.so: no such file\n"
    assert done.stderr == ""


def test_workers_end_with_a_driver_that_is_killed(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(TESTS)!r})
        from tasks import Square
        from lr_ceiling.execution.executor import local_executor
        from lr_ceiling.execution.runner import Runner

        if __name__ == "__main__":
            with Runner(lambda: local_executor(2), 2) as runner:
                runner.execute([Square(n, 60, Path({str(marks)!r})) for n in (1, 2)])
        """
    )
    (tmp_path / "driver.py").write_text(script)
    driver = subprocess.Popen([sys.executable, tmp_path / "driver.py"])
    assert wait_until(lambda: len(list(marks.iterdir())) == 2)
    workers = workers_of(marks)
    assert all(map(is_alive, workers))
    driver.kill()
    driver.wait()
    assert wait_until(lambda: not any(map(is_alive, workers)))


@dataclass
class Countdown:
    """A source of so many tasks."""

    left: int
    taken: list[int] = field(default_factory=list)

    def next(self) -> Task | None:
        if not self.left:
            return None
        self.left -= 1
        return Square(self.left)

    def take(self, ended: Ended) -> None:
        self.taken.append(ended.result)


@settings(max_examples=20, deadline=None)
@given(
    own=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    ahead=st.lists(st.integers(0, 5), max_size=3),
    places=st.integers(1, 4),
)
def test_own_work_is_done_whole_and_each_source_takes_its_own(
    own: list[int], ahead: list[int], places: int
) -> None:
    ours = {f"own {number}": Countdown(count) for number, count in enumerate(own)}
    theirs = {f"ahead {number}": Countdown(count) for number, count in enumerate(ahead)}
    with Runner(lambda: ThreadPoolExecutor(places), places) as runner:
        work(runner, ours, theirs)
        assert not runner.busy
    for source, count in zip(ours.values(), own, strict=True):
        assert sorted(source.taken) == [number**2 for number in range(count)]
    for source, count in zip(theirs.values(), ahead, strict=True):
        # What was started was taken in.
        assert len(source.taken) == count - source.left
    if not any(own):
        assert not any(source.taken for source in theirs.values())


def test_work_ahead_fills_the_places_that_are_free_and_no_others() -> None:
    own, ahead = Countdown(2), Countdown(10)
    with Runner(lambda: ThreadPoolExecutor(3), 3) as runner:
        work(runner, {"own": own}, {"ahead": ahead})
    assert len(own.taken) == 2
    assert 1 <= len(ahead.taken) < 10
