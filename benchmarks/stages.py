"""Real stages as processes: their memory, how long they take to start, and commands that do little.

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
from lr_ceiling.workers import ENVIRONMENT

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
    """Run the smoke pipeline, and give its folder."""
    _run([sys.executable, str(ROOT / "tests" / "smoke.py"), str(SMOKE)], ROOT)
    return SMOKE


def train_command(folder: Path) -> list[str]:
    """A `train` stage on the arm that needs most memory, outside the pipeline's outputs."""
    _clear(folder)
    return [
        *_stage("train", "batchnorm", "sigmoid"),
        *("--learning-rate", "0.01", "--output", "state/try/train", "--models", "state/try/models"),
    ]


def search_command(folder: Path) -> list[str]:
    """A `search` stage on the same arm."""
    _clear(folder)
    return [
        *_stage("search", "batchnorm", "sigmoid"),
        *("--output", "state/try/search", "--state", "state/try/journals"),
    ]


def memory(folder: Path, repeats: int) -> list[Row]:
    """The rows of worker and driver: the worst of both stages each time, tracking on."""
    peaks = [
        watch(command(folder), folder)
        for _ in range(repeats)
        for command in (train_command, search_command)
    ]
    pairs = list(zip(peaks[::2], peaks[1::2], strict=True))
    worker = [max(one.worker for one in pair) for pair in pairs]
    driver = [max(one.driver for one in pair) for pair in pairs]
    return [
        against_bar("memory-worker", worker, WORKER_BAR, "GiB"),
        against_bar("memory-driver", driver, DRIVER_BAR, "GiB"),
    ]


def watch(command: Sequence[str], folder: Path) -> Peaks:
    """Run a stage to its end and give the peaks. Raises RuntimeError where it fails."""
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


def start(folder: Path, repeats: int) -> Row:
    """From the start of a `train` stage to its first run, against a bare import of TensorFlow."""
    bare = [sys.executable, "-c", "import keras"]
    stages, imports = [], []
    for _ in range(repeats):
        imports.append(timed(bare, folder, ENVIRONMENT))
        command = train_command(folder)
        shutil.rmtree(folder / "state" / "facts")
        began = time.time()
        _run(command, folder)
        facts = (folder / "state" / "facts").glob("*.json")
        stages.append(min(json.loads(one.read_text())["started"] for one in facts) - began)
    return against_peer("stage-start", stages, imports, "bare import of Keras", "s")


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
    """Seconds that a command takes, from nothing. Raises RuntimeError where it fails."""
    began = time.perf_counter()
    _run(command, folder, environment)
    return time.perf_counter() - began


def _stage(stage: str, variant: str, activation: str) -> list[str]:
    module = f"lr_ceiling.stages.{stage}"
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
    outside = ("MLFLOW_TRACKING_URI", "DVC_ROOT", "LR_CEILING_TRACKING")
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
    """Peak resident memory of a process in GiB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    kilobytes = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes[0]) * 1024 / GIB if kilobytes else 0.0
