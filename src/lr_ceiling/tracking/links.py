"""The pages of MLflow's UI that show most."""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from mlflow.entities import Run

from lr_ceiling.tracking.columns import VIEW

# The UI keeps in the browser whether it shows pages for training; a link must say so.
TRAINING = "workflowType=machine_learning"


class Page(NamedTuple):
    """A page of MLflow's UI: what it shows, and what follows the server's address."""

    title: str
    path: str


def pages(name: str, experiment: str, runs: Iterable[Run]) -> Iterator[Page]:
    """Those of the experiment called `name`, `experiment` by its number, which has these runs."""
    view = f"/#/experiments/{experiment}/runs?{TRAINING}"
    what = "all trials" if name == "search" else "all runs"
    yield Page(f"{name}: {what}", f"{view}&viewStateShareKey={VIEW}")
    if name == "search":
        yield from _study_pages(experiment, runs)
    else:
        yield from _twin_pages(experiment, runs, view)


def _twin_pages(experiment: str, runs: Iterable[Run], view: str) -> Iterator[Page]:
    """The curves of each group, and its two runs of the lowest seed beside one another."""
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.data.tags["group"]].append(run)
    for group, members in sorted(groups.items()):
        if len({run.data.tags["variant"] for run in members}) < 2:
            continue
        wanted = quote(f"tags.group = '{group}'")
        yield Page(f"{group}: curves", f"{view}&compareRunsMode=CHART&searchFilter={wanted}")
        pairs: dict[int, dict[str, str]] = defaultdict(dict)
        for run in members:
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
