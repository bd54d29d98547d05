"""Views of MLflow's UI with charts that were made for a question.

The UI keeps a view as a tag of its experiment, offers it under "Views", and opens it where a link
names its key. The tag is JSON: a name, two times, and the state, which is the JSON of what the UI
itself would write. These are its forms of MLflow 3.17.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

# What the UI calls the metrics whose names have no prefix.
SINGLE_VALUES = "Model metrics"
# The columns that the UI always shows.
RUN_NAME = "attributes.`Run Name`"
CREATED = "runDateAndNestInfo"
# In pixels: a whole name of a run, a letter of a column's own name, and the longest short value.
NAME_WIDTH, LETTER_WIDTH, VALUE_WIDTH = 290, 8, 85
# In pixels; the UI's own 360 is too low for the names of the axes.
TALL = 460

State = dict[str, object]
Card = dict[str, object]


class View(NamedTuple):
    """A view of an experiment: its key, its name for people, and the UI's state that it opens."""

    key: str
    name: str
    state: State

    @property
    def tag(self) -> str:
        """The name of the experiment's tag that holds the view."""
        return f"mlflow.sharedViewState.{self.key}"

    @property
    def value(self) -> str:
        """What the tag holds."""
        envelope = {"name": self.name, "createdAt": 0, "updatedAt": 0}
        return json.dumps(envelope | {"state": json.dumps(self.state)})


def is_edited(value: str) -> bool:
    """Whether the view that a tag holds was saved by the UI since it was written here."""
    try:
        return bool(json.loads(value)["updatedAt"])
    except (ValueError, KeyError, TypeError):
        return True


def table(name: str, columns: Sequence[str], **search: object) -> View:
    """Runs in a table, with what was measured as columns; `search` says which runs, and how."""
    return View("measured", name, _columns(columns) | search)


def boundary(activation: str, columns: Sequence[str]) -> View:
    """All trials of an activation: where training ends, and by which choice."""
    section = "Where training ends"
    return View(
        _key("boundary", activation),
        f"Boundary: {activation}",
        {
            **_shown(columns, "variant", grouped_charts=False),
            # Trials alone, the studies' own runs left out.
            "searchFilter": f"tags.group = '{activation}' AND tags.trial LIKE '%'",
            "orderByKey": "metrics.`learning_rate`",
            "orderByAsc": True,
            **_charts(
                {
                    section: [
                        _card("SCATTER", xaxis=_metric("log10_learning_rate"))
                        | {"yaxis": _metric("validation_accuracy"), "runsCountToCompare": 1000},
                        _card(
                            "PARALLEL",
                            # The first axis has little room for its values' names.
                            selectedParams=["label", "variant"],
                            selectedMetrics=["log10_learning_rate", "steps", "validation_accuracy"],
                            showAllRuns=True,
                        ),
                    ]
                },
                folded=("validation", "train", SINGLE_VALUES),
                # The names of the axes need the room of half a page.
                columns=2,
            ),
        },
    )


def twins(group: str, columns: Sequence[str]) -> View:
    """The runs of a group: the average curve of each variant, validation first."""
    return View(
        _key("twins", group),
        f"Twins: {group}",
        {
            **_shown(columns, "variant", grouped_charts=True),
            "searchFilter": f"tags.group = '{group}'",
            "orderByKey": "params.`variant`",
            "orderByAsc": True,
            **_charts(
                {
                    "validation": [
                        _line("validation/accuracy"),
                        _bar("validation_accuracy"),
                        _bar("steps_to_95"),
                    ],
                    "train": [_line("train/loss"), _line("train/accuracy")],
                },
                folded=(SINGLE_VALUES,),
                columns=3,
            ),
        },
    )


def _key(kind: str, what: str) -> str:
    # A tag's name has no equals sign.
    return f"{kind}-{re.sub(r'[^A-Za-z0-9.]+', '-', what)}"


def _shown(columns: Sequence[str], parameter: str, grouped_charts: bool) -> State:
    """The columns, all runs in the charts, and runs of one value of a parameter as a group."""
    group = {"mode": "param", "groupByData": parameter}
    return {
        **_columns(columns),
        # Without it, charts show the first ten.
        "runsHiddenMode": "SHOW_ALL",
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [group]},
        "useGroupedValuesInCharts": grouped_charts,
    }


def _columns(columns: Sequence[str]) -> State:
    """The columns in this order, wide enough for their names."""
    return {
        "selectedColumns": columns,
        "columnOrder": [RUN_NAME, *columns, CREATED],
        "columnWidths": {RUN_NAME: NAME_WIDTH}
        | {name: max(VALUE_WIDTH, LETTER_WIDTH * len(name.split("`")[1])) for name in columns},
    }


def _charts(sections: Mapping[str, Iterable[Card]], folded: Iterable[str], columns: int) -> State:
    """The charts of each section, and the names of the sections that the UI adds by itself.

    An open section has so many charts side by side.
    """
    own = {"columns": columns, "cardHeight": TALL}
    return {
        "compareRunCharts": [
            card | {"uuid": f"{name}-{number}", "metricSectionId": name}
            for name, cards in sections.items()
            for number, card in enumerate(cards)
        ],
        "compareRunSections": [
            *(_section(name, display=True) | own for name in sections),
            *(_section(name, display=False) for name in folded),
        ],
        # Else it sorts the sections by name.
        "isAccordionReordered": True,
    }


def _section(name: str, display: bool) -> dict[str, object]:
    return {"uuid": name, "name": name, "display": display, "isReordered": True}


def _line(metric: str) -> Card:
    return _card(
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[metric],
        lineSmoothness=0,
        scaleType="linear",
        xAxisScaleType="linear",
        range={},
        xAxisKey="step",
        selectedXAxisMetricKey="",
        yAxisKey="metric",
        yAxisExpressions=[],
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _bar(metric: str) -> Card:
    return _card("BAR", metricKey=metric, displayName=metric)


def _metric(name: str) -> dict[str, str]:
    return {"key": name, "type": "METRIC"}


def _card(kind: Literal["SCATTER", "PARALLEL", "LINE", "BAR"], **own: object) -> Card:
    return {"type": kind, "deleted": False, "isGenerated": False, "runsCountToCompare": 100} | own
