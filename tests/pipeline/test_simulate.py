"""The simulation's command, at a small scale."""

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from multiprocessing.context import BaseContext
from pathlib import Path

import pytest
from click.testing import CliRunner

from lr_ceiling.pipeline.commands import simulate
from lr_ceiling.report.schemas import SimulationReport
from lr_ceiling.simulation import scoring, studies
from lr_ceiling.simulation.oracles import ORACLES, Oracle
from lr_ceiling.simulation.peers import PEERS
from lr_ceiling.simulation.scores import OracleResult


def in_a_thread(processes: int, context: BaseContext) -> Executor:
    """Processes would import everything anew, and know nothing of the small searches."""
    return ThreadPoolExecutor(1)


@pytest.fixture(autouse=True)
def few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two oracles, two peers of one configuration, and searches of a fifth of a second.

    Each test has a lock of its own, since another process may run another of these tests.
    """
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "locks"))
    monkeypatch.setattr(simulate, "ProcessPoolExecutor", in_a_thread)
    monkeypatch.setattr(studies, "BUDGET", 2.0)
    monkeypatch.setattr(studies, "CONFIRMATIONS", 0)
    monkeypatch.setattr(simulate, "ORACLES", ORACLES[1:3])
    monkeypatch.setattr(simulate, "GRADED", ())
    monkeypatch.setattr(scoring, "CHOOSING", 2)
    monkeypatch.setattr(scoring, "MEASURING", 3)
    few = {name: dict(list(PEERS[name].items())[:1]) for name in ("grid", "bisection")}
    monkeypatch.setattr(scoring, "PEERS", few)


def test_the_report_is_what_a_second_call_goes_on_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "simulation.json"
    ran: list[str] = []
    lives = 1

    def counted(kind: str) -> Callable[..., OracleResult]:
        real: Callable[..., OracleResult] = getattr(scoring, kind)

        def run(oracle: Oracle, *rest: object) -> OracleResult:
            if len(ran) == lives:
                raise KeyboardInterrupt
            ran.append(f"{kind} {oracle.name}")
            return real(oracle, *rest)

        return run

    monkeypatch.setattr(simulate, "simulate", counted("simulate"))
    monkeypatch.setattr(simulate, "compared", counted("compared"))
    command = ["--studies", "3", "--output", str(path), "--state", str(tmp_path / "studies")]
    assert CliRunner().invoke(simulate.main, command).exit_code != 0
    assert [one.name for one in SimulationReport.read(path).oracles] == ["logistic-0.1"]
    assert SimulationReport.read(path).oracles[0].peers == ()
    lives = 3
    assert CliRunner().invoke(simulate.main, command).exit_code != 0
    assert [len(one.peers) for one in SimulationReport.read(path).oracles] == [2, 0]
    lives = 4
    done = CliRunner().invoke(simulate.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    names = ["logistic-0.1", "logistic-0.2"]
    assert ran == [f"{kind} {name}" for kind in ("simulate", "compared") for name in names]
    report = SimulationReport.read(path)
    assert [one.name for one in report.oracles] == names
    for oracle in report.oracles:
        assert oracle.studies == 3
        assert [peer.name for peer in oracle.peers] == ["grid", "bisection"]
        for peer in oracle.peers:
            assert peer.at_least > 0
            assert (peer.steps_ratio_at_equal_error is None) == (peer.full_run_equivalents is None)
    first = path.read_bytes()
    CliRunner().invoke(simulate.main, command, catch_exceptions=False)
    assert len(ran) == 4
    assert path.read_bytes() == first


def test_few_studies_become_many_without_repeating_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulate, "ORACLES", ORACLES[1:2])
    ran: list[int] = []

    def noted(oracle: Oracle, seed: int) -> dict[str, float]:
        ran.append(seed)
        return studies.study(oracle, seed)

    monkeypatch.setattr(scoring, "study", noted)

    def report(count: int, state: str) -> bytes:
        path = tmp_path / "simulation.json"
        path.unlink(missing_ok=True)
        command = ["--studies", str(count), "--output", str(path)]
        CliRunner().invoke(
            simulate.main, [*command, "--state", str(tmp_path / state)], catch_exceptions=False
        )
        return path.read_bytes()

    at_once = report(4, "at-once")
    report(3, "continued")
    ran.clear()
    [kept] = (tmp_path / "continued").iterdir()
    first = kept.read_text().rstrip("\n ]}")
    assert report(4, "continued") == at_once
    # The first two are what tells whether the others are still right.
    assert ran == [0, 1, 3]
    assert kept.read_text().startswith(first)
    # A damaged file is made again.
    kept.write_text(first)
    assert report(4, "continued") == at_once


def test_too_few_studies_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "simulation.json"
    shown = CliRunner().invoke(
        simulate.main, ["--studies", "1", "--output", str(path), "--state", str(tmp_path)]
    )
    assert shown.exit_code == 2
    assert not path.exists()
