"""How MLflow's UI shows each experiment: its description, and its views."""

from collections.abc import Callable, Iterable, Sequence

from lr_ceiling.tracking.views import View, boundary, table, twins

# Parameters are text, and sorted as such: what has an order is shown as a metric.
RUN_COLUMNS = (
    *("params.`variant`", "params.`seed`", "params.`activation`", "params.`label`"),
    *("metrics.`learning_rate`", "metrics.`validation_accuracy`", "metrics.`test_accuracy`"),
    "metrics.`steps_to_95`",
)
TRIAL_COLUMNS = (
    *("params.`variant`", "params.`activation`", "params.`label`"),
    *("metrics.`learning_rate`", "metrics.`validation_accuracy`", "metrics.`steps`"),
)
ALL_RUNS = table("What was measured", RUN_COLUMNS)
ALL_TRIALS = table(
    "What was measured",
    TRIAL_COLUMNS,
    # Trials alone, the studies' own runs left out.
    searchFilter="tags.trial LIKE '%'",
    orderByKey="metrics.`learning_rate`",
    orderByAsc=True,
)


def _twins(group: str) -> View:
    return twins(group, RUN_COLUMNS)


def _boundary(group: str) -> View:
    return boundary(group, TRIAL_COLUMNS)


# How each experiment is shown: its description, the view of all its runs, and that of a group.
SHOWN: dict[str, tuple[str, View, Callable[[str], View]]] = {
    "train": (
        "The grid: each network at each learning rate, once a seed. Runs of one `group` differ in "
        "variant and seed alone.",
        ALL_RUNS,
        _twins,
    ),
    "search": (
        "The learning rates up to which each network trains, and loses no accuracy: a run an "
        "Optuna study, and below it a run a trial.",
        ALL_TRIALS,
        _boundary,
    ),
    "compare": (
        "What people compared by `lr-ceiling compare`, outside the pipeline.",
        ALL_RUNS,
        _twins,
    ),
}


def display(experiment: str) -> dict[str, str]:
    """An experiment's tags that tell the UI how to show it; its views are `views`."""
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": SHOWN[experiment][0],
    }


def views(experiment: str, groups: Iterable[str]) -> Sequence[View]:
    """The views of an experiment that has runs of these groups."""
    _, whole, view_of = SHOWN[experiment]
    return [whole, *(view_of(group) for group in sorted(set(groups)))]
