"""DVC as the program that it is, so that a retraining is what a person could type."""

import contextlib
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from lr_ceiling.errors import PipelineError

# The lines of DVC's output that are looked through for what went wrong.
TAIL = 200
# A stage ends its workers in 1 s when it is interrupted, and an import under way in 3 s.
GRACE_SECONDS = 30


def run(*arguments: str) -> None:
    """Run dvc with `arguments`, its output shown as it comes. Raises PipelineError if it fails."""
    # The stages' `python` is this one, though the environment be not activated (as under cron).
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        # All of it is wanted: the first stage that trains may do it, and TensorFlow starts once.
        env={"LR_CEILING_AHEAD": "all"} | os.environ | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        # A group of its own: DVC leaves an interruption to the stage that it runs.
        start_new_session=True,
    )
    assert process.stdout
    tail: deque[str] = deque(maxlen=TAIL)
    with process:
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                tail.append(line.strip())
        except BaseException:
            _interrupt(process)
            raise
    if process.returncode:
        raise PipelineError(f"`dvc {' '.join(arguments)}` failed: {_fault(tail)}")


def _interrupt(process: subprocess.Popen[str]) -> None:
    # Waited for, since the files that are put back next are those that it writes.
    for how in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, how)
            process.wait(GRACE_SECONDS)


def _fault(tail: Sequence[str]) -> str:
    # What a stage of ours says last tells more than DVC's "exited with 1".
    ours = [line.removeprefix("error: ") for line in tail if line.startswith("error: ")]
    said = [line for line in tail if line]
    return (ours or said or ["it said nothing"])[-1]
