"""`lr-ceiling ui`: MLflow's UI on this machine, with links to the main pages."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import click

from lr_ceiling.errors import TrackingError, one_line_errors
from lr_ceiling.execution.provenance import root

if TYPE_CHECKING:
    from lr_ceiling.tracking import Page

HOST = "127.0.0.1"
# The server answers after 6 s on an idle machine.
START_SECONDS = 60
STOP_SECONDS = 5


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5000,
    show_default=True,
    help="If this port is busy, another one is used; 0 means any port.",
)
@one_line_errors
def main(port: int) -> None:
    """Serve MLflow's UI to this machine until Ctrl-C, and print links to the comparisons."""
    # Imported here because mlflow takes 3 s to import.
    from lr_ceiling import tracking

    uri = tracking.store_uri()
    if uri.startswith("http"):
        with tracking.open_store() as store:
            _print_links(tracking.hide(uri).rstrip("/"), store.pages())
        return
    database = tracking.database_of(uri)
    if database and not database.exists():
        raise TrackingError(f"{database} is missing: `dvc repro` or `lr-ceiling log` makes it")
    for end in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(end, signal.default_int_handler)
    free = _free_port(port)
    if port not in (0, free):
        click.echo(f"port {port} is busy: taking {free}")
    address = f"http://{HOST}:{free}"
    with contextlib.ExitStack() as stack, contextlib.suppress(KeyboardInterrupt):
        # The server must not open the store before its schema is upgraded. It starts while the
        # links are collected, and other commands may use the store while it runs.
        with tracking.open_store() as store:
            server = stack.enter_context(_serving(uri, free))
            pages = store.pages()
        if not pages:
            raise TrackingError("MLflow holds no runs: `dvc repro` or `lr-ceiling log` adds them")
        _wait_for(server, address)
        _print_links(address, pages)
        click.echo("Ctrl-C stops it")
        server.wait()
        raise TrackingError(f"MLflow's server ended by itself: {_log()} tells why")


@contextlib.contextmanager
def _serving(uri: str, port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """MLflow's server, which ends with this block, and in any case with this process."""
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--app-name", "lr-ceiling"),
        *("--host", HOST, "--port", str(port), "--workers", "1"),
    ]
    settings = {
        # All users of the machine can see a command's arguments, and a URI may hold a password.
        "MLFLOW_BACKEND_STORE_URI": uri,
        "LR_CEILING_UI_UNTIL_CLOSED": "1",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    _log().parent.mkdir(parents=True, exist_ok=True)
    with _log().open("wb") as log:
        server = subprocess.Popen(
            command,
            env=os.environ | settings,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            # Ctrl-C must reach only this process, which ends the server.
            start_new_session=True,
        )
    try:
        yield server
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(STOP_SECONDS)
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _wait_for(server: "subprocess.Popen[bytes]", address: str) -> None:
    end = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), urlopen(f"{address}/health", timeout=1):
            return
        time.sleep(0.1)
    raise TrackingError(f"MLflow's server doesn't answer at {address}: {_log()} tells why")


def _print_links(address: str, pages: Iterable["Page"]) -> None:
    click.echo(f"MLflow is at {address}")
    for page in pages:
        click.echo(f"  {page.title}\n    {address}{page.path}")


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as listener, contextlib.suppress(OSError):
            # The closing connections of a stopped server must not count as a busy port.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((HOST, port))
            return int(listener.getsockname()[1])
    raise TrackingError(f"no port of {HOST} is free")


def _log() -> Path:
    return root() / "state" / "ui.log"


if __name__ == "__main__":
    main()
