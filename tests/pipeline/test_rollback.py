"""`lr-ceiling rollback` says what is live; tests/live/test_registry.py tests what it does."""

from pathlib import Path

from click.testing import CliRunner

from lr_ceiling import tracking
from lr_ceiling.live import registry
from lr_ceiling.live.registry import Registry
from lr_ceiling.pipeline.commands import rollback
from registering import promote


def test_it_says_what_is_live_and_what_not_any_more(project: Path) -> None:
    with tracking.open_store() as store:
        versions = Registry(store, "lr-ceiling")
        for seed in range(2):
            promote(store, versions, seed)
    place = f"sqlite:///{project}/mlruns/mlflow.db"
    said = f"live: version 1 of lr-ceiling (cell 0); rolled back: version 2; in {place}\n"
    assert CliRunner().invoke(rollback.main, []).stdout == said
    said = f"live: version 2 of lr-ceiling (cell 1); rolled back: version 1; in {place}\n"
    assert CliRunner().invoke(rollback.main, []).stdout == said


def test_without_a_version_or_beside_a_promotion_it_is_one_line(project: Path) -> None:
    shown = CliRunner().invoke(rollback.main, [])
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: lr-ceiling has no previous version to go back to in ")
    with registry.one_at_a_time():
        shown = CliRunner().invoke(rollback.main, [])
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: another promotion or rollback holds ")
    assert shown.stderr.count("\n") == 1
