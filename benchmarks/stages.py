"""Measures real stages as processes: memory and start-up time; and commands that do little.

They run in the scratch project of `tests/smoke.py`, after its pipeline has run once.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.places import ROOT, SCRATCH
from benchmarks.rows import Row, against_bar, against_peer
from lr_ceiling.problems.environment import SETTINGS

SMOKE = SCRATCH / "smoke"
# Seconds between looks at the memory; the kernel keeps the peak itself.
POLL = 0.05
GIB = 2**30
WORKER_BAR, DRIVER_BAR = 1.2, 0.8
HELP_BAR, NOOP_BAR = 0.3, 1.5


@dataclass(frozen=True)
class Peaks:
    """Peak resident memory in GiB: of the stage itself, and of its largest child."""

    driver: float
    worker: float


def lay_out() -> Path:
    """Run the smoke pipeline. Gives its folder."""
    _run([sys.executable, str(ROOT / "tests" / "smoke.py"), str(SMOKE)], ROOT)
    return SMOKE


def train_command(folder: Path) -> list[str]:
    """A `train` stage on the arm with the largest memory; it writes outside the outputs."""
    _clear(folder)
    return [
        *_stage("train", "batchnorm", "sigmoid"),
        *("--learning-rate", "0.01", "--output", "state/try/train", "--models", "state/try/models"),
        *("--state", "state/try/runs"),
    ]


def search_command(folder: Path) -> list[str]:
    """A `search` stage on the same arm."""
    _clear(folder)
    return [
        *_stage("search", "batchnorm", "sigmoid"),
        *("--audit", "reports/audit.json"),
        *("--output", "state/try/search", "--state", "state/try/journals"),
    ]


def measure(folder: Path, repeats: int) -> list[Row]:
    """The rows of a stage's start, of a worker's and of a driver's memory.

    The start-up time ends with a `train` stage's first run, and is compared with a bare import of
    Keras. Memory is the larger of a `train` and a `search` stage, with tracking on.
    """
    bare = [sys.executable, "-c", "import keras"]
    starts, imports, workers, drivers = [], [], [], []
    for _ in range(repeats):
        imports.append(timed(bare, folder, SETTINGS))
        command = train_command(folder)
        shutil.rmtree(folder / "state" / "facts", ignore_errors=True)
        began = time.time()
        train = watch(command, folder)
        starts.append(_first_run(folder) - began)
        search = watch(search_command(folder), folder)
        workers.append(max(train.worker, search.worker))
        drivers.append(max(train.driver, search.driver))
    return [
        against_peer("stage-start", starts, imports, "bare import of Keras", "s"),
        against_bar("memory-worker", workers, WORKER_BAR, "GiB"),
        against_bar("memory-driver", drivers, DRIVER_BAR, "GiB"),
    ]


def watch(command: Sequence[str], folder: Path) -> Peaks:
    """Run a stage to its end and give the peaks. Raises RuntimeError if it fails."""
    driver = worker = 0.0
    with subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while process.poll() is None:
            driver = max(driver, _peak(process.pid))
            worker = max([worker, *map(_peak, _descendants(process.pid))])
            time.sleep(POLL)
        assert process.stdout
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {process.stdout.read().decode()}")
    return Peaks(driver, worker)


def commands(folder: Path, repeats: int) -> list[Row]:
    """The rows of `lr-ceiling --help`, and of `dvc repro` with nothing to do."""
    tools = Path(sys.executable).parent
    shown, nothing = [], []
    for _ in range(repeats):
        shown.append(timed([str(tools / "lr-ceiling"), "--help"], folder))
        nothing.append(timed([str(tools / "dvc"), "repro"], folder))
    return [
        against_bar("help", shown, HELP_BAR, "s"),
        against_bar("noop-repro", nothing, NOOP_BAR, "s"),
    ]


def timed(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> float:
    """Seconds of a command, its start included. Raises RuntimeError if it fails."""
    began = time.perf_counter()
    _run(command, folder, environment)
    return time.perf_counter() - began


def _first_run(folder: Path) -> float:
    facts = (folder / "state" / "facts").glob("*.json")
    return min(float(json.loads(one.read_text())["started"]) for one in facts)


def _stage(stage: str, variant: str, activation: str) -> list[str]:
    module = f"lr_ceiling.pipeline.stages.{stage}"
    arm = ["--variant", variant, "--activation", activation]
    return [sys.executable, "-m", module, "data/splits.npz", *arm]


def _clear(folder: Path) -> None:
    # A search goes on where it was, and MLflow logs nothing twice: each time is the first.
    shutil.rmtree(folder / "state" / "try", ignore_errors=True)
    shutil.rmtree(folder / "mlruns", ignore_errors=True)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=_environment() | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stdout}")


def _environment() -> dict[str, str]:
    # What a person has set has no business here.
    outside = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "LR_CEILING_TRACKING", "LR_CEILING_AHEAD")
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    return kept | {"PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])}


def _descendants(process: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{process}/task").glob("*/children"))
        children = [int(child) for task in tasks for child in task.read_text().split()]
    except OSError:
        return []
    return children + [one for child in children for one in _descendants(child)]


def _peak(process: int) -> float:
    """Peak resident memory of a process in GiB; 0 if it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes[0]) * 1024 / GIB if kilobytes else 0.0
