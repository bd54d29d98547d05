"""The pages of MLflow's UI that show most."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote

from mlflow.entities import Run

from lr_ceiling.tracking.columns import SHOWN
from lr_ceiling.tracking.views import View

# The UI keeps in the browser whether it shows pages for training; a link must say so.
TRAINING = "workflowType=machine_learning"


class Page(NamedTuple):
    """A page of MLflow's UI: what it shows, and what follows the server's address."""

    title: str
    path: str


def pages(name: str, experiment: str, runs: Sequence[Run]) -> Iterator[Page]:
    """Those of the experiment called `name`, `experiment` by its number, which has these runs."""
    _, whole, view_of = SHOWN[name]
    what = "all trials" if name == "search" else "all runs"
    yield _view_page(f"{name}: {what}", experiment, whole)
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.data.tags["group"]].append(run)
    for group, members in sorted(groups.items()):
        view = view_of(group)
        if name == "search":
            yield _chart_page(f"{group}: boundary", experiment, view)
        elif len({run.data.tags["variant"] for run in members}) == 2:
            yield _chart_page(f"{group}: twins", experiment, view)
            yield from _twin_pages(group, experiment, members)
    if name == "search":
        yield from _study_pages(experiment, runs)


def _view_page(title: str, experiment: str, view: View) -> Page:
    path = f"/#/experiments/{experiment}/runs?{TRAINING}&viewStateShareKey={view.key}"
    return Page(title, path)


def _chart_page(title: str, experiment: str, view: View) -> Page:
    page = _view_page(title, experiment, view)
    # The UI keeps the choice of table or charts in the link, not in the view.
    return page._replace(path=f"{page.path}&compareRunsMode=CHART")


def _twin_pages(group: str, experiment: str, runs: Iterable[Run]) -> Iterator[Page]:
    """The two runs of a group's lowest seed that has both variants, beside one another."""
    pairs: dict[int, dict[str, str]] = defaultdict(dict)
    for run in runs:
        pairs[int(run.data.params["seed"])][run.data.tags["variant"]] = run.info.run_id
    twins = {seed: pair for seed, pair in sorted(pairs.items()) if len(pair) == 2}
    for seed, pair in list(twins.items())[:1]:
        ids = quote(json.dumps([run_id for _, run_id in sorted(pair.items())]))
        asked = f"runs={ids}&experiments={quote(json.dumps([experiment]))}&{TRAINING}"
        yield Page(f"{group}: twins of seed {seed}", f"/#/compare-runs?{asked}")


def _study_pages(experiment: str, runs: Iterable[Run]) -> Iterator[Page]:
    for run in sorted(runs, key=lambda run: str(run.info.run_name)):
        if "mlflow.parentRunId" not in run.data.tags:
            path = f"/#/experiments/{experiment}/runs/{run.info.run_id}?{TRAINING}"
            yield Page(str(run.info.run_name), path)
