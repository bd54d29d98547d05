"""A week's seeds, and params.yaml with them."""

import contextlib
import io
import re
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from lr_ceiling.errors import ParamsError
from lr_ceiling.execution.files import write_text
from lr_ceiling.identity import derived_seed


def this_week() -> str:
    """Today's ISO week in UTC, such as 2026-W48."""
    year, week, _ = datetime.now(UTC).isocalendar()
    return f"{year}-W{week:02}"


def check_week(week: str) -> str:
    """Give back a week such as 2026-W48. Raises ParamsError for any other text."""
    found = re.fullmatch(r"(\d{4})-W(\d{2})", week, re.ASCII)
    with contextlib.suppress(ValueError):
        if found and date.fromisocalendar(int(found[1]), int(found[2]), 1):
            return week
    raise ParamsError(f"--week is {week!r}: it must be an ISO week, such as {this_week()}")


def search_seed(week: str) -> int:
    """The seed of a week's searches."""
    return derived_seed("retrain", week, "search")


def train_seeds(week: str, count: int) -> list[int]:
    """The first `count` seeds of a week's trainings."""
    return [derived_seed("retrain", week, index) for index in range(count)]


def write_seeds(
    path: Path,
    train: Sequence[int],
    search: int,
    budget: int | None,
    check: Callable[[Path], object],
) -> None:
    """Write a retraining's seeds, and its search budget if there is one, into params.yaml.

    Comments and everything else stay as they are; the split's seed too, so that no image moves
    between the splits. `check` raises for a file that the pipeline would refuse: it isn't written.
    """
    yaml = YAML()
    yaml.Representer = _Representer
    # As wide as the file: nothing is wrapped.
    yaml.width = 4096
    values = yaml.load(path.read_text(encoding="utf-8"))
    values["train"]["seeds"][:] = train
    values["search"]["seed"] = search
    if budget is not None:
        values["search"]["budget_runs"] = {"default": budget}
        values["search"]["confirmations"] = values["usable"]["runs"] = 0
    text = io.StringIO()
    yaml.dump(values, text)
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / path.name
        candidate.write_text(text.getvalue(), encoding="utf-8")
        check(candidate)
    write_text(path, text.getvalue())


class _Representer(RoundTripRepresenter):
    """Writes null as it is in params.yaml; ruamel's own leaves the place empty."""

    def represent_none(self, data: object) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)
