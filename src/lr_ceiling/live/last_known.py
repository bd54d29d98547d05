"""The model that was live by the last record: a store without a champion may be the wrong one."""

from pathlib import Path

from pydantic import BaseModel

from lr_ceiling.errors import RegistryError
from lr_ceiling.execution.provenance import root
from lr_ceiling.execution.record import Record
from lr_ceiling.live.registry import STORE, Registry

# A record of before 0.2 didn't name its model.
ANY = ""
ANEW = "`lr-ceiling promote --without-champion` begins anew here"


def path() -> Path:
    """The last promotion's decision; a move of the store or another one leaves it as it is."""
    return root() / "state" / "promotion.json"


class Champion(Record):
    """A version that was live, and the registry's place without credentials."""

    version: int
    registry: str


def champions() -> dict[str, Champion]:
    """By the models' names, what was live last. Raises ValueError for a record that is damaged."""
    try:
        record = _Record.model_validate_json(path().read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ValueError(f"{path()} can't be read") from error
    return record.known()


def champion(name: str) -> Champion | None:
    """What was live of the model `name`; None for none. Raises ValueError as `champions` does."""
    known = champions()
    return known.get(name, known.get(ANY))


class _Record(BaseModel):
    """What is read of state/promotion.json, also of one that an earlier version has written."""

    live: int | None
    model: str | None = None
    registry: str | None = None
    champions: dict[str, Champion] | None = None

    def known(self) -> dict[str, Champion]:
        if self.champions is not None:
            return self.champions
        if self.live is None:
            return {}
        place = self.registry or "the registry"
        return {self.model or ANY: Champion(version=self.live, registry=place)}


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
        raise RegistryError(
            f"{missing}, but version {known.version} was live in {known.registry}, says {path()}: "
            f"let {STORE} name that store, or put its files back; {ANEW}"
        )
