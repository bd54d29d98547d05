"""A week's seeds, and what they change in params.yaml."""

import difflib
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lr_ceiling.errors import ParamsError
from lr_ceiling.live.seeds import check_week, search_seed, this_week, train_seeds, write_seeds
from lr_ceiling.pipeline import params


def test_seeds_follow_from_the_week_alone() -> None:
    week, other = "2026-W48", "2026-W49"
    assert train_seeds(week, 4) == train_seeds(week, 7)[:4]
    assert len({*train_seeds(week, 4), *train_seeds(other, 4), search_seed(week)}) == 9
    assert search_seed(week) != search_seed(other)


@pytest.mark.parametrize("week", ["2026-W01", "2026-W53"])
def test_an_iso_week_is_taken(week: str) -> None:
    assert check_week(week) == week


@pytest.mark.parametrize("week", ["", "2026-48", "2026-W54", "2025-W53", "2026-W0", "0000-W01"])
def test_what_is_no_iso_week_is_named(week: str) -> None:
    with pytest.raises(ParamsError, match=f"^--week is '{week}': it must be an ISO week, such as"):
        check_week(week)


def test_this_week_is_todays() -> None:
    before = datetime.now(UTC).strftime("%G-W%V")
    assert this_week() in {before, datetime.now(UTC).strftime("%G-W%V")}


def test_nothing_but_the_seeds_changes_in_params(project: Path) -> None:
    path = project / "params.yaml"
    kept = path.read_text().splitlines()
    write_seeds(path, [11, 12], 13, None, params.load)
    changes = [
        line
        for line in difflib.ndiff(kept, path.read_text().splitlines())
        if line.startswith(("+", "-"))
    ]
    # The file's own seeds are those of any earlier retraining, in a line or in one each.
    assert not [
        line for line in changes if not re.match(r". {3}(seeds:|- |seed:) ?[\[\]\d, ]*$", line)
    ]
    written = params.load(path)
    assert (written.train.seeds, written.search.seed) == ((11, 12), 13)
    write_seeds(path, [11], 13, 2, params.load)
    assert params.load(path).search.budget_runs == {"default": 2}


def test_seeds_that_the_pipeline_would_refuse_are_not_written(project: Path) -> None:
    path = project / "params.yaml"
    kept = path.read_text()
    with pytest.raises(ParamsError):
        write_seeds(path, [1, 1], 13, None, params.load)
    assert path.read_text() == kept
    assert not list(project.glob("*.partial"))
