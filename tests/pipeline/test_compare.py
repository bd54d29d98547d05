"""`lr-ceiling compare`: both variants now, a table, a figure, both in MLflow, outside DVC."""

import shutil
import sqlite3
from pathlib import Path

from conftest import run_command, small_project, small_run
from lr_ceiling.pipeline.commands.compare import lags, main


def test_both_variants_are_trained_drawn_and_logged(
    small_splits: Path, empty_database: Path, tmp_path: Path
) -> None:
    project = small_project(tmp_path, {})
    (project / "mlruns").mkdir()
    shutil.copy(empty_database, project / "mlruns")
    asked = "--learning-rate 0.01 --activation tanh --epochs 2 --steps-per-epoch 10 --seed 4"
    printed = run_command(main, project, *asked.split(), "--splits", str(small_splits))
    for variant in ("baseline", "batchnorm"):
        assert f"{variant} tanh lr=0.01 seed=4" in printed
    assert "the curves: state/compare/tanh-0.01-seed-4/curves.png" in printed
    assert (
        (project / "state/compare/tanh-0.01-seed-4/curves.png").read_bytes().startswith(b"\x89PNG")
    )
    with sqlite3.connect(project / "mlruns" / "mlflow.db") as database:
        steps = database.execute("SELECT value FROM params WHERE key = 'steps_per_epoch'")
        assert steps.fetchall() == [("10",), ("10",)]
    assert not (project / "data").exists()


def test_a_model_whose_averages_lag_is_told_from_one_that_does_not_train() -> None:
    assert lags(small_run(validation_accuracy=0.6, reestimated_accuracy=0.97))
    assert not lags(small_run(validation_accuracy=0.95, reestimated_accuracy=0.97))
    assert not lags(small_run(label="slow", validation_accuracy=0.6, reestimated_accuracy=0.7))
