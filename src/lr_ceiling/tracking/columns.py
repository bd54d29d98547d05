"""How MLflow's UI shows each experiment: its columns, in a view that is saved with it."""

import json

# A view that the UI offers under "Views", and opens where a link names it by this key.
VIEW = "measured"
# Parameters are text, and sorted as such: what has an order is shown as a metric.
RUN_COLUMNS = (
    *("params.`variant`", "params.`activation`", "metrics.`learning_rate`", "params.`seed`"),
    *("params.`label`", "metrics.`validation_accuracy`", "metrics.`test_accuracy`"),
    "metrics.`steps_to_95`",
)
TRIAL_COLUMNS = (
    *("params.`variant`", "params.`activation`", "metrics.`learning_rate`", "params.`label`"),
    *("metrics.`stable`", "metrics.`validation_accuracy`", "metrics.`steps`", "tags.`trial`"),
)
# How each experiment is shown: its description, and the state of the view above.
SHOWN: dict[str, tuple[str, dict[str, object]]] = {
    "train": (
        "The grid: each network at each learning rate, once a seed. Runs of one `group` differ in "
        "variant and seed alone.",
        {"selectedColumns": RUN_COLUMNS},
    ),
    "search": (
        "The highest stable learning rate of each network: a run an Optuna study, and below it a "
        "run a trial.",
        {
            "selectedColumns": TRIAL_COLUMNS,
            # Trials alone, the studies' own runs left out.
            "searchFilter": "tags.trial LIKE '%'",
            "orderByKey": "metrics.`learning_rate`",
            "orderByAsc": True,
        },
    ),
    "compare": (
        "What people compared by `lr-ceiling compare`, outside the pipeline.",
        {"selectedColumns": RUN_COLUMNS},
    ),
}


def display(experiment: str) -> dict[str, str]:
    """An experiment's tags that tell the UI how to show it."""
    description, state = SHOWN[experiment]
    view = {"name": "What was measured", "createdAt": 0, "updatedAt": 0, "state": json.dumps(state)}
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": description,
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }
