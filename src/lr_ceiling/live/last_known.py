"""The model that was live by the last record: a store without a champion may be the wrong one."""

import json
from pathlib import Path
from typing import Any

from lr_ceiling.errors import RegistryError
from lr_ceiling.execution.provenance import root
from lr_ceiling.live.registry import STORE, Registry

ANEW = "`lr-ceiling promote --without-champion` begins anew here"


def path() -> Path:
    """The last promotion's decision; a move of the store or another one leaves it as it is."""
    return root() / "state" / "promotion.json"


def check(registry: Registry) -> None:
    """Raise RegistryError if the record names a champion; the registry has none.

    A record that can't be read may have named one.
    """
    try:
        record: Any = json.loads(path().read_bytes())
        live, model = record["live"], record.get("model")
        place = record.get("registry") or "the registry"
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise RegistryError(
            f"{registry.name} has no champion in {registry.place}, and {path()}, which would tell "
            f"whether there ever was one, can't be read: {ANEW}"
        ) from None
    # Other names have champions of their own. Before 0.2 a record had no name.
    if live is None or model not in (None, registry.name):
        return
    raise RegistryError(
        f"{registry.name} has no champion in {registry.place}, but version {live} was live in "
        f"{place}, says {path()}: let {STORE} name that store, or put its files back; {ANEW}"
    )
