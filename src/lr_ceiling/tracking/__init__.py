"""MLflow: a mirror of runs and studies for people to look at and compare.

Nothing reads a result back from it: deleting `mlruns/` changes no result, and `lr-ceiling log`
rebuilds all but the model registry, which is `live.registry`'s.

The store is SQLite in `mlruns/`, or what MLFLOW_TRACKING_URI names. LR_CEILING_TRACKING=off
switches the stages' logging off.
"""

import os

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that is away costs 2 x 10 s at most; MLflow's 7 retries of 120 s take minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # The terminal belongs to the caller.
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# mlflow reads some of them while it is imported, which the modules below do; what the user has set
# wins.
os.environ.update(SETTINGS | dict(os.environ))

from lr_ceiling.tracking.connection import mirror, open_store  # noqa: E402
from lr_ceiling.tracking.credentials import hide  # noqa: E402
from lr_ceiling.tracking.links import Page  # noqa: E402
from lr_ceiling.tracking.location import database_of, is_same, resolve, store_uri  # noqa: E402
from lr_ceiling.tracking.store import Logged, Store, allowing  # noqa: E402

__all__ = [
    "Logged",
    "Page",
    "Store",
    "allowing",
    "database_of",
    "hide",
    "is_same",
    "mirror",
    "open_store",
    "resolve",
    "store_uri",
]
