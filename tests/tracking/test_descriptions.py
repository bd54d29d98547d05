"""A study in a sentence."""

from pathlib import Path

from logged import client, log_search, logged_runs, make_run


def test_a_study_without_a_stable_run(project: Path) -> None:
    log_search(make_run(label="dead"), highest_stable=None)
    runs = logged_runs(client(project), "search")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert "highest_stable" not in parent.data.metrics
    assert "none" in parent.data.tags["mlflow.note.content"]
