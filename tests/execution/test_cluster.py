"""A real Dask cluster: the answers of this machine, whoever is killed, and who is refused."""

import gc
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster, WorkerPlugin

from conftest import in_a_loop
from dask_processes import LOOPBACK, Host, Processes, dask_processes, two_hosts
from lr_ceiling import Ceiling, DaskCluster, find_ceiling
from lr_ceiling.errors import LockedError, ParamsError, WorkerError
from lr_ceiling.execution import cluster as module
from lr_ceiling.execution.admission import Told, Versioned
from lr_ceiling.execution.cluster import NAME, cluster_of
from lr_ceiling.execution.progress import Watch
from lr_ceiling.execution.remote import SchedulerGoneError
from waiting import wait_until

Runs = Callable[[float, int], bool]


def asked(problem: Runs, **more: Any) -> Ceiling:
    question = {"low": 1e-2, "high": 1, "budget": 5, "confirmations": 0, "progress": False} | more
    return find_ceiling(problem, usable=False, **question)


def plain() -> Runs:
    """A problem by value: no worker can import a test."""

    def trains(rate: float, seed: int) -> bool:
        return rate < 0.1

    return trains


@pytest.fixture(scope="module")
def local() -> Ceiling:
    with ThreadPoolExecutor(1) as threads:
        return asked(plain(), executor=threads)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with dask_processes(tmp_path) as found:
        yield found


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """Of a scheduler and two workers in threads of this process."""
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=2, processes=False, dashboard_address=None
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def marking(folder: Path) -> Runs:
    """A problem whose runs tell which process they are in, and wait there for a file `go`."""
    marks = str(folder)

    def trains(rate: float, seed: int) -> bool:
        import os
        import pathlib
        import time

        (pathlib.Path(marks) / f"pid-{os.getpid()}").touch()
        while not (pathlib.Path(marks) / "go").exists():
            time.sleep(0.05)
        return rate < 0.1

    return trains


def test_two_hosts_a_killed_worker_and_another_scheduler_change_nothing(
    processes: Processes,
    hosts: tuple[Host, Host],
    local: Ceiling,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    scheduler, scheduler_process = processes.scheduler()
    first = processes.worker(scheduler, hosts[0], {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    second = processes.worker(scheduler, hosts[1])
    marks = tmp_path / "marks"
    marks.mkdir()
    killed: list[int] = []

    def kill_the_first_at_work() -> None:
        if wait_until(lambda: any(marks.glob("pid-*")), 120):
            (mark,) = marks.glob("pid-*")
            killed.append(int(mark.name[4:]))
            os.kill(killed[0], signal.SIGKILL)
        (marks / "go").touch()

    killer = threading.Thread(target=kill_the_first_at_work)
    killer.start()
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
    found = asked(marking(marks), executor=DaskCluster(scheduler))
    killer.join()
    assert killed
    assert killed[0] in {first.pid, second.pid}
    assert {int(mark.name[4:]) for mark in marks.glob("pid-*")} == {first.pid, second.pid}
    assert found.runs == local.runs
    # Whether digits are the same is part of the answer.
    told = json.loads(found.to_json())
    assert told.pop("same_arithmetic") is False
    assert told == json.loads(local.to_json())
    shown = capfd.readouterr().err
    assert "Traceback" not in shown
    # Dask itself may tell of a worker that it lost.
    (warning,) = [line for line in shown.splitlines() if line.startswith("warning: ")]
    assert re.fullmatch(
        rf"warning: worker tcp://{re.escape(hosts[0].address)}:\d+ computes other last digits: "
        "ONEDNN_MAX_CPU_ISA is AVX2, here none",
        warning,
    )

    class Killer(Watch):
        def ended(self, index: int, *told: object) -> None:
            if index == 1:
                scheduler_process.kill()
                scheduler_process.wait()

    journal = tmp_path / "mine.journal"
    with pytest.raises(SchedulerGoneError) as error:
        asked(plain(), executor=DaskCluster(scheduler), storage=journal, progress=Killer())
    said = re.fullmatch(
        rf"the scheduler {re.escape(scheduler)} is gone.*; (\d) finished runs? kept in "
        rf"{re.escape(str(journal))}: the same call continues from there",
        str(error.value),
    )
    assert said
    assert int(said[1]) >= 2
    assert "Traceback" not in capfd.readouterr().err

    another, _ = processes.scheduler()
    old = tmp_path / "keras-0.1.dist-info"
    old.mkdir()
    (old / "METADATA").write_text("Metadata-Version: 2.1\nName: keras\nVersion: 0.1\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    processes.worker(another, hosts[0], {"PYTHONPATH": path})
    processes.worker(another, hosts[1])
    problem = plain()
    with Client(another, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        again = asked(problem, executor=client, storage=journal)
        assert again.runs == local.runs
        # The journal remembers the first cluster's other instructions, if that worker had a run.
        told = json.loads(again.to_json())
        told.pop("same_arithmetic", None)
        assert told == json.loads(local.to_json())
        problem.libraries = ("keras",)  # type: ignore[attr-defined]
        assert asked(problem, executor=client).runs == local.runs
    told = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 1, told
    assert re.fullmatch(
        rf"warning: worker tcp://{re.escape(hosts[0].address)}:\d+ is refused: keras is 0\.1, "
        r"wanted 3\S+",
        told[0],
    )


def test_a_client_and_its_executor_are_its_cluster(client: Client, local: Ceiling) -> None:
    assert asked(plain(), executor=client).runs == local.runs
    assert asked(plain(), executor=client.get_executor()).runs == local.runs
    assert client.status == "running"
    # Nothing of ours is left there.
    assert not [name for name in worker_plugins(client) if name.startswith(NAME)]
    with ThreadPoolExecutor(1) as threads:
        assert cluster_of(threads) is None


def worker_plugins(client: Client) -> list[str]:
    names: list[str] = client.run_on_scheduler(
        lambda dask_scheduler: list(dask_scheduler.worker_plugins)
    )
    return names


def test_what_a_killed_driver_left_is_removed_by_the_next_one(client: Client) -> None:
    class Left(WorkerPlugin):  # type: ignore[misc]
        pass

    name = f"{NAME}:Client-that-is-gone:0"
    client.register_plugin(Left(), name=name)
    assert name in worker_plugins(client)
    asked(plain(), executor=client, budget=1)
    assert not [name for name in worker_plugins(client) if name.startswith(NAME)]


def test_a_worker_that_joins_later_gets_the_data_and_takes_runs(client: Client) -> None:
    cluster = client.cluster
    seen: list[int] = []

    class Growing(Watch):
        def ended(self, index: int, *told: object) -> None:
            if index == 0:
                cluster.scale(3)
                client.wait_for_workers(3, timeout=60)
            seen.append(sum(_places(client).values()))

    try:
        asked(plain(), executor=client, progress=Growing())
    finally:
        cluster.scale(2)
        assert wait_until(lambda: len(client.scheduler_info()["workers"]) == 2, 60)
    assert seen[-1] == 3


def _places(client: Client) -> dict[str, int]:
    """Of how many runs of ours each worker has a place."""
    found = client.run(lambda dask_worker: dict(dask_worker.state.total_resources))
    return {
        worker: sum(int(count) for name, count in places.items() if name.startswith(NAME))
        for worker, places in found.items()
    }


def test_data_that_arrive_damaged_are_refused(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "write_bytes", lambda path, content: _write(path, content[:-1]))
    monkeypatch.setattr("lr_ceiling.execution.remote.IMPATIENT", 0.1)
    with pytest.raises(WorkerError) as error:
        asked(plain(), executor=client)
    assert re.fullmatch(
        r"all 2 workers are refused; the first: worker \S+ is refused: data is [0-9a-f]{16}, "
        "wanted [0-9a-f]{16}",
        str(error.value),
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_worker_that_can_not_be_prepared_is_refused(client: Client) -> None:
    problem = plain()
    found = module.Delivery("name", {}, Told("", {}), Versioned(), "no.such", False)
    told = found._prepare("tcp://worker", Path("unused"))
    assert told.failure
    assert told.failure.startswith("it can't be made ready (ModuleNotFoundError: ")
    assert problem(0.01, 0)


def test_a_scheduler_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWERS", 0.5)
    with pytest.raises(WorkerError, match=r"no scheduler answers at tcp://127\.0\.0\.1:9") as error:
        asked(plain(), executor=DaskCluster("tcp://127.0.0.1:9"))
    assert "\n" not in str(error.value)


def test_a_scheduler_that_must_not_be_spoken_to_is_one_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with (
        dask.config.set({"distributed.comm.require-encryption": True}),
        pytest.raises(WorkerError, match=r"no scheduler answers at .*encryption required") as error,
    ):
        asked(plain(), executor=DaskCluster("tcp://127.0.0.1:9"))
    assert "\n" not in str(error.value)
    gc.collect()
    assert "Traceback" not in capfd.readouterr().err


def test_a_problem_with_files_of_its_own_needs_workers_that_have_them(client: Client) -> None:
    class OwnTrials:
        prepared_by = None

        def trials(self, question: object) -> object:
            from lr_ceiling.execution.problem_trials import Parcel, ProblemTrials
            from lr_ceiling.problems.problem import CallableProblem

            problem = CallableProblem(plain(), None, "max")
            return ProblemTrials(problem, question, Parcel.of(problem, None))  # type: ignore[arg-type]

    with pytest.raises(ParamsError, match="which can't bring the files of OwnTrials to its"):
        find_ceiling(OwnTrials(), low=1e-2, high=1, executor=client, progress=False)  # type: ignore[arg-type]


def test_a_worker_that_hangs_keeps_no_search_waiting(
    processes: Processes, local: Ceiling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OTHERS", 0.5)
    monkeypatch.setattr(module, "ANSWERS", 2.0)
    scheduler, scheduler_process = processes.scheduler()
    hung, _ = (processes.worker(scheduler, host) for host in LOOPBACK)
    with Client(scheduler, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        hung.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        assert asked(plain(), executor=DaskCluster(client, time_out=2)).runs == local.runs
        assert time.monotonic() - begun < 60
        # So does a scheduler, but that one can't be done without.
        monkeypatch.setattr(module, "SILENT", 1.0)

        class Stopping(Watch):
            def ended(self, index: int, *told: object) -> None:
                scheduler_process.send_signal(signal.SIGSTOP)

        with pytest.raises(SchedulerGoneError, match="has not answered for"):
            asked(plain(), executor=DaskCluster(client), progress=Stopping())
        scheduler_process.send_signal(signal.SIGCONT)


def test_what_is_no_client_that_works_is_told(client: Client) -> None:
    with Client(client.cluster, set_as_default=False) as closed:
        pass
    with pytest.raises(WorkerError, match="the Client is closed: connect another one"):
        asked(plain(), executor=closed)
    workers = client.get_executor(workers=["tcp://one"])
    with pytest.raises(ParamsError, match=r"made by get_executor\(workers=\.\.\.\)"):
        asked(plain(), executor=workers)
    with pytest.raises(ParamsError, match="the cluster is LocalCluster"):
        DaskCluster(client.cluster)
    with pytest.raises(ParamsError, match="time_out is -1: it must be above 0"):
        DaskCluster(client, time_out=-1)


def test_a_client_of_coroutines_is_refused() -> None:
    async def search() -> None:
        # One that isn't awaited has not connected, and leaves nothing.
        waiting = Client("tcp://127.0.0.1:9", asynchronous=True, set_as_default=False)
        with pytest.raises(ParamsError, match="the Client is asynchronous"):
            asked(plain(), executor=waiting)
        # Else it complains that nobody awaits its end.
        waiting.status = "closed"

    in_a_loop(search())


def test_the_second_driver_of_a_study_is_told_who_has_it(client: Client, tmp_path: Path) -> None:
    journal = tmp_path / "mine.journal"
    told: list[str] = []

    class Second(Watch):
        def ended(self, index: int, *seen: object) -> None:
            with pytest.raises(LockedError) as error:
                asked(plain(), executor=client, storage=journal)
            told.append(str(error.value))

    asked(plain(), executor=client, storage=journal, budget=1, progress=Second())
    assert f"has the study {journal} open (process {os.getpid()} on " in told[0]
