"""`lr-ceiling rollback`: makes the previous version live again."""

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.pipeline import params


@click.command()
@one_line_errors
def main() -> None:
    """Swap the champion and the previous version. A second rollback undoes the first.

    The version that was rolled back is not promoted again.
    """
    name = params.load().promote.model
    # Imported here because mlflow takes 2 s to import.
    from lr_ceiling import tracking
    from lr_ceiling.live import last_known, registry

    with registry.one_at_a_time(), tracking.open_store() as store:
        versions = registry.Registry(store, name)
        if versions.at("champion") is None:
            last_known.check(versions)
        live, left = versions.rollback()
    click.echo(
        f"live: version {live.number} of {name} ({live.tags.get('cell', 'of unknown origin')}); "
        f"rolled back: version {left.number}; in {versions.place}"
    )


if __name__ == "__main__":
    main()
