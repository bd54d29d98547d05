"""The simulation's command, at a small scale."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from conftest import ROOT
from lr_ceiling.execution.files import read_json
from lr_ceiling.pipeline.commands import simulate
from lr_ceiling.simulation.oracles import CAP, ORACLES, PEERS


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulate, "ORACLES", ORACLES[1:2])
    monkeypatch.setattr(simulate, "CHOOSING", 2)
    monkeypatch.setattr(simulate, "MEASURING", 3)
    few = {name: dict(list(PEERS[name].items())[:1]) for name in ("grid", "bisection")}
    monkeypatch.setattr(simulate, "PEERS", few)


def test_the_report_and_what_a_second_run_reuses(tmp_path: Path) -> None:
    command = ["--studies", "3", "--output", str(tmp_path / "simulation.json")]
    command += ["--state", str(tmp_path / "state")]
    done = CliRunner().invoke(simulate.main, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (oracle,) = read_json(tmp_path / "simulation.json")["oracles"]
    assert (oracle["name"], oracle["studies"]) == ("logistic-0.1", 3)
    assert [peer["name"] for peer in oracle["peers"]] == ["grid", "bisection"]
    for peer in oracle["peers"]:
        assert peer["at_least"] > 0
        assert len(peer["full_run_equivalents_ci95"]) == 2
        assert (peer["steps_ratio_at_equal_error"] is None) == (
            peer["full_run_equivalents"] is None
        )
    first = (tmp_path / "simulation.json").read_bytes()
    (kept,) = (tmp_path / "state").rglob("*.json")
    written = kept.stat().st_mtime_ns
    CliRunner().invoke(simulate.main, command, catch_exceptions=False)
    assert kept.stat().st_mtime_ns == written
    assert (tmp_path / "simulation.json").read_bytes() == first


def test_processes_do_not_change_the_result() -> None:
    summaries = []
    for processes in (1, 2):
        with ProcessPoolExecutor(processes, get_context("spawn")) as executor:
            summaries.append(simulate.simulate(ORACLES[1], 2, executor))
    assert summaries[0] == summaries[1]


def test_the_page_tells_what_the_report_holds() -> None:
    oracles = read_json(ROOT / "reports" / "simulation.json")["oracles"]
    assert [oracle["name"] for oracle in oracles] == [oracle.name for oracle in ORACLES]
    page = (ROOT / "docs" / "simulation.md").read_text().splitlines()
    names = tuple(f"| {oracle.name} |" for oracle in ORACLES)
    assert [line for line in page if line.startswith(names)] == simulate.markdown(oracles)


def test_where_no_configuration_gets_there_the_nearest_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ends = {"far": 0.5, "near": 0.2, "middle": 0.3}
    monkeypatch.setattr(simulate, "PEERS", {"grid": dict.fromkeys(ends)})
    monkeypatch.setattr(
        simulate,
        "_errors",
        lambda executor, oracle, name, configuration, seeds: np.full(
            (len(seeds), CAP), ends[configuration]
        ),
    )
    ours = {"error_decades": 0.1, "full_run_equivalents": 10.0}
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        found = simulate.measure(ORACLES[1], "grid", ours, executor)
        reached = simulate.measure(ORACLES[1], "grid", ours | {"error_decades": 0.25}, executor)
    assert (found["configuration"], found["at_least"]) == ("near", 10.0)
    assert found["full_run_equivalents"] is found["steps_ratio_at_equal_error"] is None
    assert (reached["configuration"], reached["full_run_equivalents"]) == ("near", 1)
