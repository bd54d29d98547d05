"""The stage writes splits of sound data alone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Arrays, Bytes
from lr_ceiling.pipeline.stages.validate import main

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Result]:
    """Runs the stage in a folder with the project's params and splits of an earlier run."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("splits.npz").write_text("of an earlier run")
    options = ["--splits", "splits.npz", "--report", "report.json", "--data-docs", "docs"]
    return lambda source: CliRunner().invoke(main, [str(source), *options])


def test_stage_writes_the_splits_of_real_mnist(
    run: Callable[[Path], Result], mnist_path: Path
) -> None:
    result = run(mnist_path)
    assert result.exit_code == 0, result.output
    assert "all 22 expectations hold" in result.output
    parts = dataset.read_splits(Path("splits.npz"))
    sizes = [len(getattr(parts, name).labels) for name in dataset.SPLIT_NAMES]
    assert sizes == [50_000, 5_000, 5_000, 10_000]
    assert json.loads(Path("report.json").read_text())["success"]


def test_stage_blocks_data_that_break_the_specification(
    run: Callable[[Path], Result], small_arrays: Arrays, tmp_path: Path
) -> None:
    dataset.write_arrays(tmp_path / "mnist.npz", small_arrays)
    result = run(tmp_path / "mnist.npz")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "docs/index.html" in result.stderr.splitlines()[0]
    assert not Path("splits.npz").exists()
    assert not json.loads(Path("report.json").read_text())["success"]


FILES: dict[str, Callable[[Bytes], object]] = {
    "float in [0, 1]": lambda images: images / 255,
    "wrong shape": lambda images: images.reshape(len(images), -1),
    "a pickled object": lambda images: np.array([{"images": 1}] * len(images), dtype=object),
}


@pytest.mark.parametrize("damage", [*FILES, "truncated"])
def test_stage_blocks_files_of_another_kind(
    run: Callable[[Path], Result], small_arrays: Arrays, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "mnist.npz"
    dataset.write_arrays(path, small_arrays)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:500_000])
    else:
        with np.load(path) as file:
            members = dict(file)
        np.savez(path, **members | {"x_train": FILES[damage](members["x_train"])})
    result = run(path)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert not Path("splits.npz").exists()
