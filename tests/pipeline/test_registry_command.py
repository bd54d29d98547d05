"""`lr-ceiling registry`: the history of the model that params.yaml names."""

from pathlib import Path

from click.testing import CliRunner

from lr_ceiling import tracking
from lr_ceiling.live.registry import Registry
from lr_ceiling.pipeline.commands import registry as command
from registering import promote


def test_the_command_shows_the_history(project: Path) -> None:
    shown = CliRunner().invoke(command.main, [])
    assert (shown.exit_code, shown.stderr) == (
        1,
        f"error: lr-ceiling has no version yet in sqlite:///{project}/mlruns/mlflow.db: "
        "`lr-ceiling promote` puts one forward\n",
    )
    with tracking.open_store() as store:
        registry = Registry(store, "lr-ceiling")
        promote(store, registry, 0)
        promote(store, registry, 1)
        champion = registry.at("champion")
        assert champion
        registry.tag(champion, {"decision": "promoted", "reason": "it is better"})
    shown = CliRunner().invoke(command.main, [])
    assert shown.exit_code == 0
    first, second = (line for line in shown.stdout.splitlines() if "│ cell " in line)
    assert "previous" in first
    assert "champion" in second
    assert shown.stdout.endswith("2 promoted: it is better\n")
