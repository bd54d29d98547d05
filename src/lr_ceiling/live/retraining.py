"""A scheduled retraining: data validated anew, the week's seeds, `dvc repro`, the gate.

DVC runs as the program that it is, so that a retraining is what a person could type. What it came
to goes to `state/retrain.json` for machines and to `state/retrain.md` for people.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import filelock
from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from lr_ceiling.errors import LockedError, LrCeilingError, ParamsError, PipelineError
from lr_ceiling.execution.files import read_json, write_bytes, write_text
from lr_ceiling.execution.provenance import commit, root
from lr_ceiling.execution.records import Record
from lr_ceiling.identity import derived_seed
from lr_ceiling.live import gate
from lr_ceiling.live.gate import Decision
from lr_ceiling.live.predictor import Predictor
from lr_ceiling.pipeline import params
from lr_ceiling.rounding import short

CEILINGS = Path("reports/ceilings.json")
# The lines of DVC's output that are looked through for what went wrong.
TAIL = 200
# A stage ends its workers in 1 s when it is interrupted, and an import under way in 3 s.
GRACE_SECONDS = 30
# A rehearsal: 2 seeds are the least that have a spread. A search of 2 runs bounds no ceiling, and
# without one the gate refuses.
QUICK = 2

Failure = Literal["data unavailable", "validation failed", "pipeline failed", "promotion failed"]
Limits = Mapping[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is asked for: `week` as 2026-W48, `seeds` a cell (None: as many as now)."""

    week: str
    quick: bool
    seeds: int | None
    force: bool

    @property
    def search_seed(self) -> int:
        """The seed of the searches."""
        return derived_seed("retrain", self.week, "search")

    def train_seeds(self, count: int) -> list[int]:
        """The first `count` seeds of the week's trainings."""
        return [derived_seed("retrain", self.week, index) for index in range(count)]


class Ceiling(Record):
    """An arm's lr90 before and after: (estimate, low, high), None where it is not known.

    It moved if the two intervals have nothing in common, or no end of it is known any more; None
    where none was before.
    """

    arm: str
    before: tuple[float | None, float | None, float | None]
    after: tuple[float | None, float | None, float | None]
    moved: bool | None


class Outcome(Record):
    """What a retraining came to; `reason` says it in words."""

    outcome: Literal[Failure, "promoted", "refused", "unchanged"]
    reason: str
    week: str
    quick: bool
    train_seeds: tuple[int, ...]
    search_seed: int
    ceiling_moved: bool
    ceilings: tuple[Ceiling, ...]
    decision: Decision | None
    commit: str | None
    # UTC, ISO 8601.
    started: str
    ended: str

    @property
    def failed(self) -> bool:
        """Whether it ended before the gate had decided."""
        return self.decision is None


def this_week() -> str:
    """Today's ISO week in UTC, such as 2026-W48."""
    year, week, _ = datetime.now(UTC).isocalendar()
    return f"{year}-W{week:02}"


def check_week(week: str) -> str:
    """Give back a week such as 2026-W48. Raises ParamsError for any other text."""
    found = re.fullmatch(r"(\d{4})-W(\d{2})", week, re.ASCII)
    with contextlib.suppress(ValueError):
        if found and date.fromisocalendar(int(found[1]), int(found[2]), 1):
            return week
    raise ParamsError(f"--week is {week!r}: it must be an ISO week, such as {this_week()}")


def retrain(plan: Plan, predictor: Predictor) -> Outcome:
    """Retrain as `plan` says and let the gate decide; the champion stays until it has.

    A failure of the data or the training is an outcome, and so is one of the promotion. After a
    failure before the gate, an interruption, or a quick retraining, the project's files are as they
    were. Raises LockedError while another retraining is under way.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    settings = params.load()
    count = plan.seeds or (QUICK if plan.quick else len(settings.train.seeds))
    seeds = plan.train_seeds(count)
    before = _arms() if CEILINGS.exists() else []
    with _one_at_a_time(), _kept() as keep:
        failure, reason, decision = _run(plan, seeds, predictor)
        after = [] if failure and failure != "promotion failed" else _arms()
        keep(not plan.quick and bool(after))
    ceilings = compare_ceilings(before, after)
    outcome = Outcome(
        outcome=failure or (decision.decision if decision else "promotion failed"),
        reason=reason,
        week=plan.week,
        quick=plan.quick,
        train_seeds=tuple(seeds),
        search_seed=plan.search_seed,
        ceiling_moved=any(ceiling.moved for ceiling in ceilings),
        ceilings=tuple(ceilings),
        decision=decision,
        commit=commit(),
        started=started,
        ended=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    write_text(root() / "state" / "retrain.json", outcome.model_dump_json(indent=2) + "\n")
    write_text(root() / "state" / "retrain.md", summary(outcome))
    return outcome


def compare_ceilings(before: Sequence[Limits], after: Sequence[Limits]) -> list[Ceiling]:
    """Each arm of `after` beside the same arm of `before`, as reports/ceilings.json has them."""
    known = {_name(arm): _limits(arm) for arm in before}
    ceilings = []
    for arm in after:
        old, new = known.get(_name(arm), (None, None, None)), _limits(arm)
        ceilings.append(Ceiling(arm=_name(arm), before=old, after=new, moved=_moved(old, new)))
    return ceilings


def summary(outcome: Outcome) -> str:
    """The outcome in Markdown."""
    moved = [ceiling.arm for ceiling in outcome.ceilings if ceiling.moved]
    lines = [
        f"# Retraining of week {outcome.week}: {outcome.outcome}",
        "",
        f"{outcome.reason}.",
        "",
        f"Seeds a cell: {len(outcome.train_seeds)}, {outcome.train_seeds[0]} the first; "
        f"{'quick, its results are not kept' if outcome.quick else 'full'}; "
        f"{outcome.started} to {outcome.ended}.",
    ]
    if outcome.ceilings:
        lines += [
            "",
            "**Ceilings that moved beyond both intervals, or are not known any more:** "
            f"{', '.join(moved) or 'none'}.",
            "",
            "| arm | lr90 before | lr90 now | moved |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {one.arm} | {_shown(one.before)} | {_shown(one.after)} "
            f"| {'not known' if one.moved is None else 'yes' if one.moved else 'no'} |"
            for one in outcome.ceilings
        ]
    if outcome.decision:
        lines += ["", "| check | passed | seen |", "|---|---|---|"]
        lines += [
            f"| {check.name} | {'yes' if check.passed else 'no'} | {check.detail} |"
            for check in outcome.decision.checks
        ]
        live = outcome.decision.live
        lines += ["", f"Live: {'no version' if live is None else f'version {live}'}."]
    return "\n".join(lines) + "\n"


def write_seeds(path: Path, seeds: Sequence[int], search_seed: int, budget: int | None) -> None:
    """Write a retraining's seeds, and its search budget if there is one, into params.yaml.

    Comments and everything else stay as they are; the split's seed too, so that no image moves
    between the splits.
    """
    yaml = YAML()
    yaml.Representer = _Representer
    # As wide as the file: nothing is wrapped.
    yaml.width = 4096
    values = yaml.load(path.read_text(encoding="utf-8"))
    values["train"]["seeds"][:] = seeds
    values["search"]["seed"] = search_seed
    if budget is not None:
        values["search"]["budget_runs"] = {"default": budget}
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            yaml.dump(values, file)
        # Never a file that the pipeline would refuse.
        params.load(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class _Representer(RoundTripRepresenter):
    """Writes null as it is in params.yaml; ruamel's own leaves the place empty."""

    def represent_none(self, data: object) -> ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_none)


def _run(
    plan: Plan, seeds: Sequence[int], predictor: Predictor
) -> tuple[Failure | None, str, Decision | None]:
    """The failure, or None; what is to be said; what the gate decided."""
    stage: Failure = "data unavailable"
    try:
        # Before any seed changes. `--force`: the source is asked again, though nothing changed.
        dvc("repro", "--force", "--single-item", "fetch")
        stage = "validation failed"
        dvc("repro", "--force", "--single-item", "validate")
        stage = "pipeline failed"
        budget = QUICK if plan.quick else None
        write_seeds(params.PARAMS_FILE, seeds, plan.search_seed, budget)
        dvc("repro", *(["--force"] if plan.force else []))
        stage = "promotion failed"
        decision = gate.promote(params.load().promote, predictor)
    except LrCeilingError as error:
        return stage, str(error), None
    return None, decision.reason, decision


def dvc(*arguments: str) -> None:
    """Run dvc with `arguments`, its output shown as it comes. Raises PipelineError if it fails."""
    # The stages' `python` is this one, though the environment be not activated (as under cron).
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", *arguments],
        env=os.environ | {"PATH": path},
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


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    lock = root() / "state" / "retrain.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(lock, timeout=0):
            yield
    except filelock.Timeout:
        raise LockedError(f"another retraining holds {lock}: wait for its end") from None


@contextlib.contextmanager
def _kept() -> Iterator[Any]:
    """Put the project's files back at the end, unless told by the function given to keep them."""
    small = [Path("params.yaml"), Path("dvc.lock"), *sorted(Path("reports").glob("*.json"))]
    contents = {path: path.read_bytes() for path in small if path.exists()}
    keep = False

    def decide(answer: bool) -> None:
        nonlocal keep
        keep = answer

    try:
        yield decide
    finally:
        if not keep:
            for path, content in contents.items():
                if not path.exists() or path.read_bytes() != content:
                    write_bytes(path, content)
            # What the lock names and the cache holds; a fresh clone has none of it yet.
            try:
                dvc("checkout", "--force", "--allow-missing", "--quiet")
            except PipelineError as error:
                # Not raised: it would hide why the files are put back.
                said = f"data/ could not be put back: {error}; run `dvc checkout --force`"
                print(f"warning: {said}", file=sys.stderr)


def _arms() -> list[Limits]:
    arms: list[Limits] = read_json(CEILINGS)["arms"]
    return arms


def _name(arm: Limits) -> str:
    return f"{arm['variant']}-{arm['activation']}"


def _limits(arm: Limits) -> tuple[float | None, float | None, float | None]:
    low, high = arm["lr90"]["ci95"]
    return arm["lr90"]["estimate"], low, high


def _moved(
    before: tuple[float | None, float | None, float | None],
    after: tuple[float | None, float | None, float | None],
) -> bool | None:
    if before[1:] == (None, None):
        return None
    if after[1:] == (None, None):
        return True
    # An end that is null is unbounded.
    (old_low, old_high), (new_low, new_high) = (
        (0.0 if low is None else low, float("inf") if high is None else high)
        for _, low, high in (before, after)
    )
    return old_high < new_low or new_high < old_low


def _shown(limits: tuple[float | None, float | None, float | None]) -> str:
    match limits:
        case None, None, None:
            return "not known"
        case None, float(low), None:
            return f"at least {short(low, 4)}"
        case None, None, float(high):
            return f"at most {short(high, 4)}"
    estimate, *ends = limits
    interval = " to ".join("unbounded" if end is None else short(end, 4) for end in ends)
    return interval if estimate is None else f"{short(estimate, 4)} ({interval})"
