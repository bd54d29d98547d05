"""Facts about one execution of a run: its start, duration, machine and commit.

They are stored in `state/facts/<key>.json`, which is no dependency or output of any stage, since
results must not depend on it.
"""

import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pydantic

from lr_ceiling.execution.files import write_text
from lr_ceiling.execution.record import Record
from lr_ceiling.execution.runner import Ended

# "off" keeps the stages from logging to MLflow.
SWITCH = "LR_CEILING_TRACKING"


class Facts(Record):
    """One execution; `started` is in seconds since 1970, UTC."""

    started: float
    seconds: float
    commit: str | None
    machine: str


def root() -> Path:
    """The project's folder. `dvc exp` runs stages in temporary ones, and DVC names the real one."""
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def write_facts(key: str, started: float, seconds: float) -> None:
    """Store the start and the duration, in seconds, of the run or study `key`."""
    facts = Facts(started=started, seconds=seconds, commit=commit(), machine=machine())
    write_text(_path(key), facts.model_dump_json(indent=2) + "\n")


def write_ended(key: str, ended: Ended) -> None:
    """Store the facts of the finished run `key`."""
    write_facts(key, ended.started, ended.seconds)


def write_study_facts(key: str, runs: Iterable[str]) -> None:
    """Store the start of the study `key` and the total duration of its runs.

    `runs` are the keys of its trials' runs, which may have run in several sessions.
    """
    known = [facts for run in runs if (facts := read_facts(run))]
    if known:
        started = min(facts.started for facts in known)
        write_facts(key, started, sum(facts.seconds for facts in known))


def read_facts(key: str) -> Facts | None:
    """The facts of the run or study `key`; None if none can be read."""
    try:
        return Facts.model_validate_json(_path(key).read_bytes())
    except (OSError, pydantic.ValidationError):
        return None


def mark_logged(key: str) -> None:
    """Record that MLflow holds the run or study `key`."""
    write_text(_logged(key), "")


def is_logged(key: str) -> bool:
    """Whether nothing needs to be sent: `key` is marked, or LR_CEILING_TRACKING is off.

    A stage whose runs were made ahead checks this file, since importing MLflow takes 2.4 s.
    """
    return os.environ.get(SWITCH) == "off" or _logged(key).exists()


def commit() -> str | None:
    """The current commit; None outside a git checkout."""
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root(), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return git.stdout.strip()


def machine() -> str:
    """The kind of machine, without its name."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _path(key: str) -> Path:
    return root() / "state" / "facts" / f"{key}.json"


def _logged(key: str) -> Path:
    return root() / "state" / "logged" / key
