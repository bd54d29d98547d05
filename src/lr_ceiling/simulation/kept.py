"""Keeps the studies of an oracle in a file, so that a simulation that was stopped continues."""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from lr_ceiling.execution.files import write_json
from lr_ceiling.simulation.studies import SAMPLE, digest_of_studies, same_search

Row = Mapping[str, float]


class KeptStudies:
    """The results of the studies 0, 1, ... of an oracle, whose first two have this `digest`.

    A damaged file, or one of another search, counts as empty.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self._path = path
        self.studies = _read(path)
        enough = len(self.studies) >= len(SAMPLE)
        if not enough or not same_search(digest_of_studies(self.studies), digest):
            self.studies = []

    def add(self, studies: Iterable[Row]) -> None:
        """Keep the next studies. Raises ResultsError if the file can't be written."""
        self.studies += studies
        # JSON has no NaN.
        rows = [
            {name: None if math.isnan(value) else value for name, value in study.items()}
            for study in self.studies
        ]
        write_json(self._path, rows)


def _read(path: Path) -> list[Row]:
    try:
        rows = json.loads(path.read_bytes())
        return [
            {name: math.nan if value is None else float(value) for name, value in row.items()}
            for row in rows
        ]
    except (OSError, ValueError, AttributeError, TypeError):
        return []
