"""`lr-ceiling serve`: the champion over HTTP, by MLflow's own server behind a guard."""

import os

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.pipeline import params
from lr_ceiling.problems.environment import muted_stderr, pin

OPEN = (
    "whoever reaches {host} may ask the model, without a password and unencrypted: without --host "
    "only this machine may, and a proxy that asks for one can stand before that"
)

# A day.
MAX_POLL = 86_400


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=5001, show_default=True)
@click.option(
    "--poll",
    metavar="SECONDS",
    type=click.FloatRange(0, MAX_POLL),
    default=10,
    show_default=True,
    help="time between two checks for a new champion; 0: no checks",
)
@one_line_errors
def main(host: str, port: int, poll: float) -> None:
    """Serve the live version; after a promotion or rollback the new one takes over.

    POST /invocations takes {"inputs": images}, images (n, 28, 28, 1) in [0, 1], and gives
    {"predictions": probabilities}, (n, 10). GET /ping answers while the server is up, and
    GET /metrics counts the answers.
    """
    name = params.load().promote.model
    pin()
    # A connection that stays open would go on reading a database that was replaced.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")
    # Late, since mlflow takes 2 s to import, and reads the environment as TensorFlow does.
    from lr_ceiling import tracking
    from lr_ceiling.live import serving
    from lr_ceiling.live.follower import Follower, following

    # The port before the model, which takes 8 s to load.
    with serving.listen(host, port) as listener:
        champion = serving.champion_of(name)
        with muted_stderr():
            guard = serving.Guard(serving.load(name, champion.number), champion.number)
        address = f"http://{host}:{listener.getsockname()[1]}/invocations"
        click.echo(f"serving version {champion.number} of {name} on {address}")
        click.echo(f"its registry: {tracking.hide(tracking.store_uri())}")
        if not serving.is_loopback(host):
            click.echo(f"warning: {OPEN.format(host=host)}", err=True)
        with following(Follower(guard, name, champion), poll):
            serving.serve(guard, listener)


if __name__ == "__main__":
    main()
