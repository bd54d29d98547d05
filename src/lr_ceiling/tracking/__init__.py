"""MLflow: runs, studies, pages of its UI."""

from lr_ceiling.tracking.store import SWITCH, Logged, Page, Store, mirror, open_store, store_uri

__all__ = ["SWITCH", "Logged", "Page", "Store", "mirror", "open_store", "store_uri"]
