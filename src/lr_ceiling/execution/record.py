"""Records: frozen, strictly typed values that are written as JSON."""

from pathlib import Path
from typing import TypeVar

import pydantic
from pydantic import BaseModel, ConfigDict

from lr_ceiling.errors import ResultsError
from lr_ceiling.execution.files import read_bytes


class Record(BaseModel):
    """A frozen, strictly typed record that is written as JSON; non-finite numbers become null."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


Parsed = TypeVar("Parsed")


def _parse(adapter: pydantic.TypeAdapter[Parsed], path: Path) -> Parsed:
    try:
        return adapter.validate_json(read_bytes(path))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ResultsError(
            f"{path} is not of this version ({where}: {first['msg']}): "
            "remove it and run `dvc repro`"
        ) from None
