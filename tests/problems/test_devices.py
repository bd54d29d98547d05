"""GPUs are found by their names alone."""

from pathlib import Path

import pytest

from lr_ceiling.problems.devices import gpus


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("0,1", ["0", "1"]),
        (" 2 , GPU-8932f937 ", ["2", "GPU-8932f937"]),
        ("", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
    ],
)
def test_those_that_are_visible_are_used(
    visible: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus(tmp_path) == expected


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        ([], []),
        (["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps"], ["0", "1"]),
        # A container has the fourth alone; CUDA counts from 0 all the same.
        (["nvidia3", "nvidiactl"], ["0"]),
        ([f"nvidia{number}" for number in range(11)], [str(number) for number in range(11)]),
    ],
)
def test_device_nodes_tell_where_nothing_is_set(
    nodes: list[str], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus(tmp_path) == expected
