"""`lr-ceiling serve` as a process: it serves the champion, and ends when told."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
from click.testing import CliRunner

from lr_ceiling import tracking
from lr_ceiling.commands import serve
from lr_ceiling.registry import SHA256, Registry, sha256_of
from lr_ceiling.runs import RunResult

Trained = list[tuple[RunResult, Path]]


def test_without_a_champion_there_is_nothing_to_serve(project: Path) -> None:
    shown = CliRunner().invoke(serve.main, [])
    assert (shown.exit_code, shown.stderr) == (
        1,
        "error: lr-ceiling has no champion: `lr-ceiling promote` makes one\n",
    )


def test_the_champion_is_served_until_the_process_is_told_to_end(
    project: Path, trained: Trained
) -> None:
    run, model = trained[0]
    with tracking.open_store() as store:
        store.log_train("cell", [run], model.parent)
        registry = Registry(store, "lr-ceiling")
        version = registry.put_forward(store.model_of(run), {SHA256: sha256_of(model)})
        registry.promote(version, None)
    command = [sys.executable, "-m", "lr_ceiling.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        guard = threading.Timer(100, process.kill)
        guard.start()
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith("serving version 1 of lr-ceiling on http://127.0.0.1:")
        body = json.dumps({"inputs": np.zeros((1, 28, 28, 1)).tolist()}).encode()
        request = Request(said.split()[-1], body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as response:
            assert np.shape(json.load(response)["predictions"]) == (1, 10)
        process.send_signal(signal.SIGTERM)
        guard.cancel()
    assert process.returncode == -signal.SIGTERM
