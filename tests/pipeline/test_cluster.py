"""The pipeline's runs on a cluster: strict, with their data there and their networks back here."""

import os
from pathlib import Path

import pytest
from distributed import LocalCluster

from conftest import ROOT
from dask_processes import LOOPBACK, dask_processes
from lr_ceiling.errors import WorkerError
from lr_ceiling.execution.runner import Runner
from lr_ceiling.pipeline import cluster, workers
from tasks import Copying


def test_without_a_name_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(workers.SCHEDULER, raising=False)
    with workers.cluster(tmp_path / "splits.npz") as found:
        assert found is None


def test_a_scheduler_that_does_not_answer_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lr_ceiling.execution.cluster.ANSWERS", 0.5)
    monkeypatch.setenv(workers.SCHEDULER, "tcp://127.0.0.1:9")
    (tmp_path / "splits.npz").touch()
    with pytest.raises(WorkerError) as error, workers.cluster(tmp_path / "splits.npz"):
        pass
    said = str(error.value)
    assert said.startswith("no scheduler answers at tcp://127.0.0.1:9 (")
    assert said.endswith("run `dvc repro` again, with LR_CEILING_SCHEDULER naming another or none")
    assert "\n" not in said


def test_runs_find_their_data_and_what_they_leave_comes_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster, "PREPARED_BY", "pinning")
    splits, state = tmp_path / "splits.npz", tmp_path / "runs"
    splits.write_bytes(b"data")
    path = os.pathsep.join([str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    with (
        LocalCluster(
            n_workers=0, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address=None
        ) as dask,
        dask_processes(tmp_path) as processes,
    ):
        monkeypatch.setenv(workers.SCHEDULER, dask.scheduler_address)
        # What it was switched by is pinned before anything else is imported.
        processes.worker(
            dask.scheduler_address, LOOPBACK[0],
            {"PYTHONPATH": path, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        )  # fmt: skip
        with workers.workers(None, splits=splits, returned=state) as runner:
            assert isinstance(runner, Runner)
            (ended,) = runner.execute([Copying(splits, state / "model.keras")])
    assert ended.result[0] != str(splits)
    assert (state / "model.keras").read_bytes() == b"DATA"
    assert "warning" not in capfd.readouterr().err
