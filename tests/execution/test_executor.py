"""The local executor: as many processes as the container may use."""

import gc
import os
import tempfile
from pathlib import Path

import pytest

from lr_ceiling.execution import executor
from lr_ceiling.execution.executor import cores, cpu_quota, local_executor


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.max": "garbage"}, None),
        ({}, None),
    ],
)
def test_a_container_limits_cores(
    files: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_quota(tmp_path) == expected


def test_cores_are_those_of_affinity_and_quota(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    assert cores() == 8
    (tmp_path / "cpu.max").write_text("250000 100000")
    assert cores() == 3
    (tmp_path / "cpu.max").write_text("10000 100000")
    assert cores() == 1


def test_what_a_process_leaves_in_its_temporary_folder_goes_with_the_executor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with local_executor(1) as started:
        left = Path(started.submit(tempfile.mkdtemp).result())
        assert left.is_dir()
        assert left.is_relative_to(tmp_path)
    del started
    gc.collect()
    assert not list(tmp_path.iterdir())
