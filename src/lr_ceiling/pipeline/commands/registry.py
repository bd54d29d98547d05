"""`lr-ceiling registry`: which models were put forward, what became of them, which one is live."""

from datetime import UTC, datetime

import click

from lr_ceiling.errors import RegistryError, one_line_errors
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import print_table

TAGS = ("cell", "gate_accuracy", "gate_difference", "decision")
HEADER = ("cell", "accuracy", "difference", "decision")


@click.command()
@one_line_errors
def main() -> None:
    """Show every version of the model with its aliases and the decision on it."""
    name = params.load().promote.model
    # Late, since mlflow takes 2 s to import.
    from lr_ceiling import tracking
    from lr_ceiling.live import registry

    with tracking.open_store() as store:
        history = registry.Registry(store, name).history()
    if not history:
        raise RegistryError(f"{name} has no version yet: `lr-ceiling promote` puts one forward")
    header = ("version", "alias", *HEADER, "registered", "commit")
    rows = [
        (
            str(version.number),
            " ".join(version.aliases) or "-",
            *(version.tags.get(tag, "-") for tag in TAGS),
            datetime.fromtimestamp(version.created, UTC).date().isoformat(),
            version.tags.get("commit", "-")[:8],
        )
        for version in history
    ]
    print_table(f"versions of {name}", header, rows)
    for version in history:
        if "reason" in version.tags:
            click.echo(f"{version.number} {version.tags['decision']}: {version.tags['reason']}")


if __name__ == "__main__":
    main()
