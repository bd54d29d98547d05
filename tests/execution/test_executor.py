"""The local executor: as many processes as the container may use."""

import os
from pathlib import Path

import pytest

from lr_ceiling.execution import executor
from lr_ceiling.execution.executor import cores, cpu_quota


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
