"""A retraining's own files and lock; tests/pipeline/test_retrain.py runs it whole."""

from pathlib import Path

import filelock
import pytest

from lr_ceiling.errors import LockedError
from lr_ceiling.live import retraining
from lr_ceiling.live.predictor import Predictor
from lr_ceiling.live.retraining import Plan
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.commands.retrain import load

WEEK = Plan(week="2026-W48", quick=False, seeds=None, force=False)


def test_files_that_could_not_be_put_back_are_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # No DVC repository, so that `dvc checkout` fails.
    with retraining._kept():
        (project / "params.yaml").write_text("changed")
    assert params.load(project / "params.yaml")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: data/ could not be put back: `dvc checkout")
    assert line.endswith("; run `dvc checkout --force`")


def test_one_retraining_at_a_time(project: Path) -> None:
    (project / "state").mkdir()
    kept = (project / "params.yaml").read_text()
    with (
        filelock.FileLock(project / "state" / "retrain.lock"),
        Predictor() as predictor,
        pytest.raises(LockedError, match="another retraining holds"),
    ):
        retraining.retrain(WEEK, predictor, load)
    assert (project / "params.yaml").read_text() == kept
