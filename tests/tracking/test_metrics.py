"""Metrics of a run: finite, and the same of two that are compared."""

import math
from pathlib import Path

from logged import client, log_train, logged_runs, make_run


def test_twins_share_group_metrics_and_steps(project: Path) -> None:
    log_train(project, make_run(variant="baseline"), make_run(variant="batchnorm"))
    one, other = logged_runs(client(project), "train")
    assert one.data.tags["group"] == other.data.tags["group"]
    assert set(one.data.metrics) == set(other.data.metrics)
    assert one.data.tags["variant"] != other.data.tags["variant"]


def test_only_finite_values_are_logged(project: Path) -> None:
    log_train(project, make_run(label="diverged", losses=(2.0, math.inf, math.nan, None)))
    store = client(project)
    (run,) = logged_runs(store, "train")
    assert [p.value for p in store.get_metric_history(run.info.run_id, "train/loss")] == [2.0]
    assert len(store.get_metric_history(run.info.run_id, "train/accuracy")) == 4
    assert all(map(math.isfinite, run.data.metrics.values()))
    assert max(run.data.metrics.values()) < 1e300
    assert run.data.params["label"] == "diverged"
    assert (run.data.metrics["called_at"], run.data.metrics["stable"]) == (20, 0)


def test_the_ui_draws_curves_as_lines_and_single_values_as_bars(project: Path) -> None:
    log_train(project, make_run())
    store = client(project)
    (run,) = logged_runs(store, "train")
    for name in run.data.metrics:
        points = store.get_metric_history(run.info.run_id, name)
        # MLflow's UI draws a line from step 1 on.
        assert ("/" in name) == (points[-1].step >= 1), name


def test_a_parameter_without_a_value_is_left_out(project: Path) -> None:
    whole, ended = make_run(seed=0), make_run(seed=1)
    spec = ended.spec.model_copy(update={"ended_by": ("dead",)})
    log_train(project, whole, ended.model_copy(update={"spec": spec}))
    found = {run.data.params.get("ended_by") for run in logged_runs(client(project), "train")}
    assert found == {None, "('dead',)"}
