"""Keeps the studies of an oracle in a file, so that a simulation that was stopped continues."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from lr_ceiling.execution.files import write_json
from lr_ceiling.simulation.studies import SAMPLE, same_search

Row = Mapping[str, float]


class KeptStudies:
    """The results of the studies 0, 1, ... of an oracle.

    `digest` identifies the search that the first two belong to. The file's is used if it is of the
    same search as the asked one. A damaged file, or one of another search, counts as empty.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self.digest, self.studies = _read(path)
        if len(self.studies) < len(SAMPLE) or not same_search(digest, self.digest):
            self.digest, self.studies = digest, []

    def add(self, studies: Iterable[Row]) -> None:
        """Keep the next studies. Raises ResultsError if the file can't be written."""
        self.studies += studies
        # JSON has no NaN.
        rows = [
            {name: None if math.isnan(value) else value for name, value in study.items()}
            for study in self.studies
        ]
        write_json(self._path, {"digest": self.digest, "studies": rows})


def _read(path: Path) -> tuple[str, list[Row]]:
    try:
        kept = json.loads(path.read_bytes())
        rows: list[Row] = [
            {name: math.nan if value is None else float(value) for name, value in row.items()}
            for row in kept["studies"]
        ]
        return str(kept["digest"]), rows
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return "", []
