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


def champion(name: str) -> tuple[int, str] | None:
    """The version of the model `name` that was live, and in which registry; None for none.

    Raises ValueError for a record that can't be read.
    """
    try:
        record: Any = json.loads(path().read_bytes())
        live, model = record["live"], record.get("model")
        place = record.get("registry") or "the registry"
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path()} can't be read") from error
    # Other names have champions of their own. Before 0.2 a record had no name.
    return None if live is None or model not in (None, name) else (live, place)


def check(registry: Registry) -> None:
    """Raise RegistryError if the record names a champion; the registry has none.

    A record that can't be read may have named one.
    """
    missing = f"{registry.name} has no champion in {registry.place}"
    try:
        known = champion(registry.name)
    except ValueError as error:
        raise RegistryError(
            f"{missing}, and {error}, which would tell whether there ever was one: {ANEW}"
        ) from None
    if known:
        live, place = known
        raise RegistryError(
            f"{missing}, but version {live} was live in {place}, says {path()}: let {STORE} name "
            f"that store, or put its files back; {ANEW}"
        )
