"""A retraining's own files and lock; tests/pipeline/test_retrain.py runs it whole."""

from pathlib import Path

import filelock
import pytest

from lr_ceiling.errors import LockedError, PipelineError
from lr_ceiling.live import dvc, retraining
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


@pytest.mark.parametrize("force", [True, False])
def test_a_forced_retraining_finds_no_run_or_trial_again(
    force: bool, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [project / "state" / "runs" / "key.json", project / "state" / "search" / "key.log"]
    for path in kept:
        path.parent.mkdir(parents=True)
        path.touch()
    asked, there = [], []

    def repro(*arguments: str) -> None:
        asked.append(" ".join(arguments))
        there.append([path.exists() for path in kept])
        if len(asked) == 3:
            raise PipelineError("trained")

    monkeypatch.setattr(dvc, "run", repro)
    plan = Plan(week="2026-W48", quick=False, seeds=None, force=force)
    with Predictor() as predictor:
        outcome = retraining.retrain(plan, predictor, load)
    assert (outcome.outcome, outcome.reason) == ("pipeline failed", "trained")
    # What comes before has no use for them.
    assert there[:2] == [[True, True]] * 2
    assert (asked[2], there[2]) == (
        ("repro --force", [False, False]) if force else ("repro", [True, True])
    )
