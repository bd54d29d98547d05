"""`lr-ceiling registry`: all model versions, the decision on each, and the live one."""

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
    """Show every version of the model with its aliases and the decision on it.

    This also updates the file paths in a store that was moved.
    """
    name = params.load().promote.model
    # Imported here because mlflow takes 2 s to import.
    from lr_ceiling import tracking
    from lr_ceiling.live import last_known, registry

    with tracking.open_store() as store:
        versions = registry.Registry(store, name)
        history = versions.history()
    if not history:
        last_known.check(versions)
        raise RegistryError(
            f"{name} has no version yet in {versions.place}: `lr-ceiling promote` puts one forward"
        )
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
    print_table(f"versions of {name} in {versions.place}", header, rows)
    for version in history:
        if "reason" in version.tags:
            click.echo(f"{version.number} {version.tags['decision']}: {version.tags['reason']}")


if __name__ == "__main__":
    main()
