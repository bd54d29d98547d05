"""Runs elsewhere: whatever happens to workers and messages, each run counts once."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from faults.cluster import KINDS, answered_once, asked, quiet, replay, search, write
from faults.report import CLUSTER, FaultCount, ReliabilityReport
from faults.simulated_cluster import TIME_OUT, Faults, SimulatedCluster, SimulatedWorkers
from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.admission import Told, Versioned
from lr_ceiling.execution.files import sha256_of
from lr_ceiling.execution.remote import (
    Files,
    Needs,
    RemoteExecutor,
    Reply,
    SchedulerGoneError,
    execute,
)
from lr_ceiling.execution.runner import Runner
from tasks import Copying, Failing, Square

SEEDS = 200
WANTED = Told("the driver", {"numpy": "2"})


@pytest.fixture(scope="module", autouse=True)
def _answered_once() -> Iterator[None]:
    with answered_once():
        yield


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_whatever_happens_on_a_cluster_the_runs_are_those_of_a_quiet_one(kind: int) -> None:
    happened: Counter[str] = Counter()
    for seed in range(kind, SEEDS, len(KINDS)):
        found = search(seed)
        assert found.difference is None, f"{found.difference}\n  {replay(seed)}"
        happened += found.happened
    # No property of what never happened.
    assert sum(happened.values()) > 0


def test_a_quiet_cluster_says_what_this_machine_says() -> None:
    with ThreadPoolExecutor(1) as threads:
        assert asked(executor=threads).to_json() == quiet().to_json()


def test_workers_that_turn_into_others_would_change_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RemoteExecutor, "_admit", lambda self, told: True)
    lying = [seed for seed in range(SEEDS) if KINDS[seed % len(KINDS)] == Faults(lies=0.5)]
    assert any(search(seed).difference for seed in lying)


def simulated(
    faults: Faults, count: int = 2, seed: int = 0, **options: float | bool
) -> tuple[RemoteExecutor, SimulatedWorkers, list[str]]:
    workers = SimulatedWorkers(seed, count, WANTED, {}, faults)
    said: list[str] = []
    return RemoteExecutor(workers, WANTED, say=said.append, **options), workers, said  # type: ignore[arg-type]


def squares(executor: RemoteExecutor, count: int = 3) -> list[int]:
    with Runner(lambda: executor, 4, owned=False) as runner:
        return [one.result for one in runner.execute([Square(n) for n in range(count)])]


def test_a_worker_of_another_version_gets_no_run_and_is_told_once() -> None:
    executor, workers, said = simulated(Faults(is_other=1), count=3)
    assert squares(executor, 6) == [0, 1, 4, 9, 16, 25]
    assert workers.happened["other version"] == 2
    assert len(said) == 2
    assert said[0].endswith("is refused: numpy is 0.1, wanted 2")
    assert executor.places == 1


def test_where_all_are_refused_the_search_ends_in_one_line() -> None:
    executor, workers, _ = simulated(Faults(is_other=1))
    workers._machines = {name: one for name, one in workers._machines.items() if not one.admitted}
    with pytest.raises(WorkerError, match=r"^worker tcp://\S+ is refused: numpy is 0\.1, wanted 2"):
        squares(executor)


@pytest.mark.parametrize("strict", [False, True])
def test_another_processor_is_told_and_refused_if_that_is_asked(strict: bool) -> None:
    wanted = replace(WANTED, arithmetic={"processor": "mine"})
    workers = SimulatedWorkers(0, 2, wanted, {}, Faults(differs=1))
    said: list[str] = []
    told: list[bool] = []
    executor = RemoteExecutor(workers, wanted, say=said.append, strict=strict)
    executor.on_other_arithmetic = lambda: told.append(True)
    assert squares(executor) == [0, 1, 4]
    assert executor.same_arithmetic == strict
    assert bool(told) == (not strict)
    (line,) = said
    verb = "is refused" if strict else "computes other last digits"
    assert line.endswith(f"{verb}: processor is other, here mine")


def test_runs_on_another_processor_are_told_in_the_study(tmp_path: Path) -> None:
    mixed = asked(executor=SimulatedCluster(3, 3, Faults(differs=1)))
    assert not mixed.same_arithmetic
    assert quiet().same_arithmetic
    told = json.loads(mixed.to_json())
    assert told.pop("same_arithmetic") is False
    assert told == json.loads(quiet().to_json())


def test_a_run_that_hangs_everywhere_is_given_up_with_the_time_out() -> None:
    executor, _, _ = simulated(Faults(hangs=1), count=4, time_out=TIME_OUT)
    with pytest.raises(WorkerError, match="has not ended within 60 s on 3 workers: raise the time"):
        squares(executor, 1)


def test_a_run_that_ends_every_worker_is_given_up() -> None:
    executor, _, _ = simulated(Faults(dies=1))
    with pytest.raises(WorkerError, match="20 workers ended while executing one run: give"):
        squares(executor, 1)


def test_without_workers_the_search_says_that_it_waits_and_ends() -> None:
    executor, workers, said = simulated(Faults(), patience=100.0)
    workers._machines.clear()
    with pytest.raises(WorkerError, match="no worker of the simulated scheduler has taken a run"):
        squares(executor)
    assert said == ["no worker of the simulated scheduler takes a run: waiting for one"]


def test_a_scheduler_that_is_gone_leaves_a_journal_and_says_how_to_go_on(tmp_path: Path) -> None:
    journal = tmp_path / "mine.journal"
    with pytest.raises(SchedulerGoneError) as error:
        asked(executor=SimulatedCluster(0, 2, Faults(scheduler_goes=0.2)), storage=journal)
    said = str(error.value)
    assert said.startswith("the simulated scheduler is gone; ")
    assert said.endswith(f"kept in {journal}: the same call continues from there")
    # On no cluster at all.
    with ThreadPoolExecutor(1) as threads:
        assert asked(executor=threads, storage=journal).runs == quiet().runs


def test_what_a_task_raises_on_a_worker_reaches_the_driver() -> None:
    executor, _, _ = simulated(Faults())
    with Runner(lambda: executor, 1, owned=False) as runner:
        runner.submit(Failing())
        with pytest.raises(ArithmeticError, match="so it is"):
            runner.completed()


class UnsendableError(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("of two")


def raises_what_can_not_be_sent() -> None:
    raise UnsendableError(1, 2)


def test_an_exception_that_can_not_travel_is_told_in_words() -> None:
    call, _ = Files().dumps((raises_what_can_not_be_sent, ()))
    reply = execute(call, {}, WANTED)
    assert isinstance(reply.raised, WorkerError)
    assert str(reply.raised) == "UnsendableError: of two"


def test_files_are_with_the_worker_and_come_back_from_it(tmp_path: Path) -> None:
    here, there, back = tmp_path / "here", tmp_path / "there", tmp_path / "back"
    here.write_text("data")
    there.write_text("data")
    digest = sha256_of(here)
    workers = SimulatedWorkers(0, 1, WANTED, {digest: there})
    executor = RemoteExecutor(workers, WANTED, files=Files({here: digest}, back))
    with Runner(lambda: executor, 1, owned=False) as runner:
        (ended,) = runner.execute([Copying(here, back / "left.bin")])
    assert ended.result[0] == str(there)
    assert not ended.result[1].startswith(str(tmp_path))
    assert ended.result[1].endswith(".bin")
    assert (back / "left.bin").read_text() == "DATA"


def test_a_worker_writes_no_other_file_of_the_drivers(tmp_path: Path) -> None:
    class Hostile(SimulatedWorkers):
        def _deliver(self, reply: Reply, waiting: object) -> None:
            files = {str(tmp_path / "elsewhere"): b"x", str(tmp_path / "back" / "other"): b"x"}
            super()._deliver(replace(reply, files=files), waiting)  # type: ignore[arg-type]

    files = Files({}, tmp_path / "back")
    executor = RemoteExecutor(Hostile(0, 1, WANTED, {}), WANTED, files=files)
    assert squares(executor) == [0, 1, 4]
    assert not list(tmp_path.iterdir())


def test_calls_carry_no_data(tmp_path: Path) -> None:
    data = os.urandom(100_000)

    def problem(rate: float, seed: int) -> bool:
        return rate < 0.1 + len(data) * 0

    sizes: list[int] = []

    class Weighing(SimulatedCluster):
        def opened(self, needs: Needs):  # type: ignore[no-untyped-def]
            (path,) = needs.files.carried
            assert path.stat().st_size > len(data)
            original = needs.files.dumps

            def dumps(call: object) -> tuple[bytes, frozenset[str]]:
                sizes.append(len(original(call)[0]))
                return original(call)

            object.__setattr__(needs.files, "dumps", dumps)
            return super().opened(needs)

    from lr_ceiling import find_ceiling

    find_ceiling(
        problem, low=0.01, high=1, budget=2, confirmations=0, usable=False, progress=False,
        executor=Weighing(0),
    )  # fmt: skip
    assert sizes
    assert max(sizes) < 1500


def test_needs_say_what_a_worker_must_tell(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("data")
    needs = Needs(Versioned(("click",)), Files({path: sha256_of(path)}), None, {}, one_thread=True)
    wanted = needs.wanted()
    assert {"Python", "lr-ceiling", "numpy", "click"} <= set(wanted.versions)
    assert len(wanted.data["data"]) == 16
    assert wanted.arithmetic["threads"] == "1"


def test_the_report_keeps_what_others_have_written(tmp_path: Path) -> None:
    report = tmp_path / "reliability.json"
    theirs = FaultCount(fault="disk full", point="journal: append", tried=3, held=3)
    ReliabilityReport(faults=(theirs,)).write(report)
    for _ in range(2):
        write(report, Counter(dies=4), Counter(dies=3))
    ours = FaultCount(fault="dies", point=CLUSTER, tried=4, held=3)
    assert ReliabilityReport.read(report).faults == (theirs, ours)
