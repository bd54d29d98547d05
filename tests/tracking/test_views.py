"""Views of the UI as tags of an experiment: what they name is logged, and people's own stay."""

import json
from pathlib import Path
from typing import Any

from logged import client, log_search, log_train, logged_runs, make_run, trials
from lr_ceiling import tracking
from lr_ceiling.tracking.columns import RUN_COLUMNS, TRIAL_COLUMNS
from lr_ceiling.tracking.views import boundary, is_edited, twins

TWINS = "mlflow.sharedViewState.twins-relu-lr-0.01"


def tags_of(project: Path, experiment: str) -> dict[str, str]:
    found = client(project).get_experiment_by_name(experiment)
    assert found is not None
    return dict(found.tags)


def metrics_of(card: dict[str, Any]) -> list[str]:
    axes = [card[axis]["key"] for axis in ("xaxis", "yaxis") if axis in card]
    return [*axes, *card.get("selectedMetrics", []), *filter(None, [card.get("metricKey")])]


def test_each_group_has_a_view(project: Path) -> None:
    log_train(project, make_run(), make_run(learning_rate=1e-5), make_run(learning_rate=2e5))
    log_search(*trials(1))
    views = {tag for tag in tags_of(project, "train") if "View" in tag}
    rates = ("0.01", "1e-05", "200-000")
    assert views == {
        "mlflow.sharedViewState.measured",
        *(f"mlflow.sharedViewState.twins-relu-lr-{rate}" for rate in rates),
    }
    assert "mlflow.sharedViewState.boundary-relu" in tags_of(project, "search")


def test_charts_are_of_what_is_logged_and_lie_in_a_section(project: Path) -> None:
    log_train(project, make_run())
    log_search(*trials(1))
    (run,) = logged_runs(client(project), "train")
    (trial,) = [one for one in logged_runs(client(project), "search") if "trial" in one.data.tags]
    shown = (run, twins("relu lr=0.01", RUN_COLUMNS)), (trial, boundary("relu", TRIAL_COLUMNS))
    for one, view in shown:
        state = json.loads(json.dumps(view.state))
        sections = {section["uuid"] for section in state["compareRunSections"]}
        for card in state["compareRunCharts"]:
            assert metrics_of(card)
            assert set(metrics_of(card)) <= set(one.data.metrics)
            assert set(card.get("selectedParams", [])) <= set(one.data.params)
            assert card["metricSectionId"] in sections
        (group,) = state["groupBy"]["groupByKeys"]
        assert group["groupByData"] in one.data.params


def test_a_view_is_renewed_until_somebody_has_changed_it(project: Path) -> None:
    log_train(project, make_run())
    ours = tags_of(project, "train")[TWINS]
    assert not is_edited(ours)
    store = client(project)
    experiment = store.get_experiment_by_name("train")
    assert experiment is not None
    older = json.dumps(json.loads(ours) | {"state": "{}"})
    store.set_experiment_tag(experiment.experiment_id, TWINS, older)
    # As an older version of this program has left it, for whoever only looks.
    with tracking.open_store() as opened:
        opened.pages()
    assert tags_of(project, "train")[TWINS] == ours

    theirs = json.dumps(json.loads(older) | {"updatedAt": 1_700_000_000_000})
    store.set_experiment_tag(experiment.experiment_id, TWINS, theirs)
    log_train(project, make_run())
    assert tags_of(project, "train")[TWINS] == theirs


def test_what_is_no_view_is_left_as_it_is() -> None:
    assert is_edited("deflate;eJyrVkrOT0lVslIqKk0qVqoFACdvBTE=")
    assert is_edited("[]")
