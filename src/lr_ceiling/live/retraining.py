"""A scheduled retraining: data validated anew, the week's seeds, `dvc repro`, the gate.

What it came to goes to `state/retrain.json` for machines and to `state/retrain.md` for people.
"""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from lr_ceiling.errors import LrCeilingError, PipelineError
from lr_ceiling.execution.files import write_bytes, write_text
from lr_ceiling.execution.provenance import commit, root
from lr_ceiling.live import dvc, gate
from lr_ceiling.live.gate import Decision, Terms
from lr_ceiling.live.locks import alone
from lr_ceiling.live.outcome import Failure, Outcome, compare_ceilings, summary
from lr_ceiling.live.predictor import Predictor
from lr_ceiling.live.seeds import search_seed, train_seeds, write_seeds
from lr_ceiling.report.schemas import CeilingsReport

PARAMS = Path("params.yaml")
CEILINGS = Path("reports/ceilings.json")
# Runs by specification and trials by study: with these `dvc repro --force` would train nothing that
# was trained before with the same seeds.
KEPT = (Path("state/runs"), Path("state/search"))
# A rehearsal: 2 seeds are the least that have a spread. A search of 2 runs bounds no ceiling, and
# without one the gate refuses.
QUICK = 2


@dataclass(frozen=True)
class Settings:
    """What a retraining needs of params.yaml: how many seeds a cell has, and the gate's terms."""

    train_seeds: int
    terms: Terms


# Reads a params file. Raises ParamsError for one that the pipeline would refuse.
Load: TypeAlias = Callable[[Path], Settings]


@dataclass(frozen=True)
class Plan:
    """What is asked for: `week` as 2026-W48, `seeds` a cell (None: as many as now)."""

    week: str
    quick: bool
    seeds: int | None
    force: bool


def retrain(plan: Plan, predictor: Predictor, load: Load) -> Outcome:
    """Retrain as `plan` says and let the gate decide; the champion stays until it has.

    A failure of the data or the training is an outcome, and so is one of the promotion. After a
    failure before the gate, an interruption, or a quick retraining, the project's files are as they
    were. Raises LockedError while another retraining is under way.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    settings = load(PARAMS)
    count = plan.seeds or (QUICK if plan.quick else settings.train_seeds)
    seeds = train_seeds(plan.week, count)
    before = CeilingsReport.read(CEILINGS).arms if CEILINGS.exists() else ()
    with alone("retrain", "another retraining"), _kept() as keep:
        failure, reason, decision = _run(plan, seeds, predictor, load)
        trained = failure in (None, "promotion failed")
        after = CeilingsReport.read(CEILINGS).arms if trained else ()
        keep(not plan.quick and bool(after))
    ceilings = compare_ceilings(before, after)
    outcome = Outcome(
        outcome=failure or (decision.decision if decision else "promotion failed"),
        reason=reason,
        week=plan.week,
        quick=plan.quick,
        train_seeds=tuple(seeds),
        search_seed=search_seed(plan.week),
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


def _run(
    plan: Plan, seeds: Sequence[int], predictor: Predictor, load: Load
) -> tuple[Failure | None, str, Decision | None]:
    """The failure, or None; what is to be said; what the gate decided."""
    stage: Failure = "data unavailable"
    try:
        # Before any seed changes. `--force`: the source is asked again, though nothing changed.
        dvc.run("repro", "--force", "--single-item", "fetch")
        stage = "validation failed"
        dvc.run("repro", "--force", "--single-item", "validate")
        stage = "pipeline failed"
        budget = QUICK if plan.quick else None
        write_seeds(PARAMS, seeds, search_seed(plan.week), budget, load)
        if plan.force:
            _forget()
        dvc.run("repro", *(["--force"] if plan.force else []))
        stage = "promotion failed"
        decision = gate.promote(load(PARAMS).terms, predictor)
    except LrCeilingError as error:
        return stage, str(error), None
    return None, decision.reason, decision


def _forget() -> None:
    """Remove the runs and trials that stages find again, whatever DVC is told."""
    for kept in KEPT:
        shutil.rmtree(root() / kept, ignore_errors=True)


@contextlib.contextmanager
def _kept() -> Iterator[Any]:
    """Put the project's files back at the end, unless told by the function given to keep them."""
    small = [PARAMS, Path("dvc.lock"), *sorted(Path("reports").glob("*.json"))]
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
                dvc.run("checkout", "--force", "--allow-missing", "--quiet")
            except PipelineError as error:
                # Not raised: it would hide why the files are put back.
                said = f"data/ could not be put back: {error}; run `dvc checkout --force`"
                print(f"warning: {said}", file=sys.stderr)
