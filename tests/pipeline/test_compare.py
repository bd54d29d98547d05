"""`lr-ceiling compare`: both variants now, a table, a figure, both in MLflow, outside DVC."""

import sqlite3
import subprocess
import sys
from pathlib import Path

from conftest import small_project


def test_both_variants_are_trained_drawn_and_logged(small_splits: Path, tmp_path: Path) -> None:
    project = small_project(tmp_path, {})
    asked = "--learning-rate 0.01 --activation tanh --epochs 2 --steps-per-epoch 10 --seed 4"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "lr_ceiling.pipeline.commands.compare"),
            *(*asked.split(), "--splits", str(small_splits)),
        ],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    for variant in ("baseline", "batchnorm"):
        assert f"{variant} tanh lr=0.01 seed=4" in done.stdout
    assert "the curves: state/compare/tanh-0.01-seed-4/curves.png" in done.stdout
    assert (
        (project / "state/compare/tanh-0.01-seed-4/curves.png").read_bytes().startswith(b"\x89PNG")
    )
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as database:
        steps = database.execute("SELECT value FROM params WHERE key = 'steps_per_epoch'")
        assert steps.fetchall() == [("10",), ("10",)]
    assert not (project / "data").exists()
