"""The gate: a challenger goes live only if it has earned it, on images that nothing else reads.

The challenger is the best model at or below its arm's usable learning rate. All that is measured,
the decision and its reason go to `state/promotion.json` and, in short, to the version's tags. A
version that goes live has a model card as its description.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from lr_ceiling.errors import RegistryError, ResultsError
from lr_ceiling.evidence.comparison import best_run
from lr_ceiling.evidence.records import ArmCeilings, UsableRate
from lr_ceiling.execution.files import sha256_of, write_text
from lr_ceiling.execution.provenance import commit, read_facts
from lr_ceiling.execution.record import Record
from lr_ceiling.live import card, last_known
from lr_ceiling.live.accuracy import Measured, Paired, compare, measure
from lr_ceiling.live.predictor import Prediction, Predictor
from lr_ceiling.live.registry import (
    MENDING,
    ROLLED_BACK,
    SHA256,
    Registry,
    Version,
    one_at_a_time,
)
from lr_ceiling.mnist.dataset import Split, read_split, splits_digest
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.report.schemas import CeilingsReport, ValidationReport
from lr_ceiling.rounding import short
from lr_ceiling.tracking import hide, open_store, store_uri

ORIGIN = {"cell", "seed", "run_key", "learning_rate", "ceiling", "data_digest", "commit", "bytes"}
ORIGIN |= {SHA256}
CheckName = Literal["data", "ceiling", "not rolled back", "loads", "same", "floor", "champion"]


@dataclass(frozen=True)
class Terms:
    """What a version of `model` must show to go live.

    Its accuracy is at least `floor`, and less than `margin` below the champion's, at the lower ends
    of their 95% intervals.
    """

    model: str
    margin: float
    floor: float


@dataclass(frozen=True)
class Inputs:
    """What the pipeline wrote and the gate reads."""

    train: Path = Path("data/train")
    models: Path = Path("data/models")
    splits: Path = Path("data/splits.npz")
    ceilings: Path = Path("reports/ceilings.json")
    validation: Path = Path("reports/validation.json")


@dataclass(frozen=True)
class Candidate:
    """The run that may be put forward, its model's file, and its arm's usable learning rate.

    `ceiling` is the highest learning rate that counts.
    """

    cell: str
    run: RunResult
    file: Path
    usable: UsableRate
    ceiling: float


class Check(Record):
    """One thing that must hold for a promotion; `detail` says in words what was seen."""

    name: CheckName
    passed: bool
    detail: str


class Entrant(Record):
    """A registered model at the gate; None is what wasn't measured."""

    version: int
    # Where it comes from: the version's tags.
    origin: dict[str, str]
    measured: Measured | None
    # The median of one image alone.
    latency_ms: float | None


class Decision(Record):
    """What the gate decided. `live` is the version that is the champion afterwards."""

    decision: Literal["promoted", "refused", "unchanged"]
    reason: str
    checks: tuple[Check, ...]
    challenger: Entrant | None
    champion: Entrant | None
    paired: Paired | None
    margin: float
    floor: float
    gate_images: int
    live: int | None
    # UTC, ISO 8601.
    decided: str
    # What the versions are of, and the registry's place without credentials; None before 0.2.
    model: str | None = None
    registry: str | None = None
    # What was live last of every model, by name: a store that lost it is known by this.
    champions: dict[str, last_known.Champion] | None = None


@dataclass
class _Case:
    """A promotion under way: what is known of it so far."""

    terms: Terms
    inputs: Inputs
    checks: list[Check] = field(default_factory=list)
    candidate: Candidate | None = None
    challenger: Version | None = None
    champion: Version | None = None
    # The version with the challenger's file that was rolled back.
    vetoed: Version | None = None
    unchanged: bool = False
    gate: Split | None = None
    ours: Prediction | None = None
    theirs: Prediction | None = None
    paired: Paired | None = None

    def check(self, name: CheckName, passed: bool, detail: str) -> bool:
        self.checks.append(Check(name=name, passed=passed, detail=detail))
        return passed

    @property
    def reason(self) -> str:
        failed = [check.detail for check in self.checks if not check.passed]
        if self.unchanged and self.champion:
            return f"the best model is already live (version {self.champion.number})"
        # What was measured, for a model that passed.
        return "; ".join(failed or [check.detail for check in self.checks[-2:]])


def promote(
    terms: Terms,
    predictor: Predictor,
    inputs: Inputs | None = None,
    without_champion: bool = False,
) -> Decision:
    """Hold the best new model against the champion, and make it live if it has earned that.

    `without_champion` judges it alone, for a champion that can't be loaded any more. Raises
    LockedError while another promotion is under way, ResultsError for results that are missing or
    of other data, TrackingError where the registry can't be reached, RegistryError where it has no
    champion and state/promotion.json names one; then nothing has changed.
    """
    case = _Case(terms, inputs or Inputs())
    with one_at_a_time():
        with open_store() as store:
            registry = Registry(store, terms.model)
            registry.settle()
            if not without_champion and registry.at("champion") is None:
                last_known.check(registry)
        passed, told = _weigh(case, predictor, without_champion), ""
        # The registry as it is now, and last of all the one write that makes the challenger live.
        with open_store() as store:
            registry = Registry(store, terms.model)
            live = case.challenger if passed else registry.at("champion")
            decision = _decision(case, passed, live, registry.place)
            if passed and case.challenger and case.candidate:
                told = card.model_card(decision, case.candidate.run, case.candidate.usable)
                # Before it is live: whatever is live has its card.
                registry.describe(case.challenger, told)
                registry.promote(case.challenger, case.champion)
            # A version that was judged before keeps that verdict.
            if case.challenger and not case.unchanged and ROLLED_BACK not in case.challenger.tags:
                registry.tag(case.challenger, _verdict_tags(decision))
        write_text(last_known.path(), decision.model_dump_json(indent=2) + "\n")
        if told:
            write_text(card.path(), told)
    return decision


def choose(
    cells: Mapping[str, Sequence[RunResult]], arms: Sequence[ArmCeilings], models: Path
) -> Candidate | None:
    """The best seed of the cell with the best mean validation accuracy; None for none.

    A cell counts if its learning rate is at or below the usable one of its arm, up to which no
    accuracy is lost, or its lower limit where the runs found no upper one. An arm of which neither
    is known has no cell that counts: above it a model as good was luck, and the next retraining
    would miss it. What is compared are the models as saved.
    """
    usables = {
        (arm.variant, arm.activation, arm.optimizer, arm.target, arm.horizon_steps): (
            arm.headline.usable
        )
        for arm in arms
    }
    counted: dict[str, Sequence[RunResult]] = {}
    bounds: dict[str, tuple[UsableRate, float]] = {}
    for cell, runs in cells.items():
        spec = runs[0].spec
        arm = (spec.variant, spec.activation, spec.optimizer, spec.target_accuracy, spec.horizon)
        usable = usables.get(arm)
        if usable is None:
            continue
        ceiling = usable.estimate or usable.ci95[0]
        if ceiling is not None and spec.learning_rate <= ceiling:
            counted[cell], bounds[cell] = runs, (usable, ceiling)
    if not counted:
        return None
    cell, best = best_run(counted)
    return Candidate(cell, best, models / cell / f"seed-{best.spec.seed}.keras", *bounds[cell])


def _weigh(case: _Case, predictor: Predictor, without_champion: bool) -> bool:
    """Make the checks in turn, up to one that makes the others pointless; whether all passed."""
    inputs, name = case.inputs, case.terms.model
    valid = ValidationReport.read(inputs.validation).success
    said = "the data holds to its specification" if valid else "the data breaks its specification"
    if not case.check("data", valid, said):
        return False
    arms = CeilingsReport.read(inputs.ceilings).arms
    candidate = case.candidate = choose(_read_cells(inputs), arms, inputs.models)
    if candidate is None:
        detail = "no cell of the grid is known to be at or below its arm's usable learning rate"
        return case.check("ceiling", False, detail)
    rate = candidate.run.spec.learning_rate
    at = f"learning rate {rate:g} is at or below the usable {short(candidate.ceiling, 4)}"
    case.check("ceiling", True, f"{candidate.cell}: {at}")
    if not candidate.file.is_file():
        raise ResultsError(f"{candidate.file} is missing: run `dvc repro` to make it")
    version = _put_forward(case, candidate, arms)
    if case.unchanged:
        return False
    gate = case.gate = read_split(inputs.splits, "gate")
    if not case.check("not rolled back", case.vetoed is None, _veto(case.vetoed)):
        return False
    try:
        original = predictor.of_file(candidate.file, gate.images)
        case.ours = predictor.of_version(store_uri(), name, version.number, gate.images)
    except (RegistryError, ResultsError) as error:
        return case.check("loads", False, str(error))
    case.check("loads", True, f"version {version.number} loads from the registry")
    same = bool((original.probabilities == case.ours.probabilities).all())
    differ = "as" if same else "otherwise than"
    case.check("same", same, f"the registered model predicts {differ} the trained file")
    accuracy = measure(case.ours.probabilities, gate.labels).accuracy
    case.check(
        "floor",
        accuracy.ci95[0] >= case.terms.floor,
        f"its accuracy is {accuracy.estimate:.4f}, at least {accuracy.ci95[0]:.4f}; "
        f"the floor is {case.terms.floor:g}",
    )
    _hold_against_champion(case, gate, case.ours, predictor, without_champion)
    return all(check.passed for check in case.checks)


def _hold_against_champion(
    case: _Case, gate: Split, ours: Prediction, predictor: Predictor, without_champion: bool
) -> None:
    champion, name = case.champion, case.terms.model
    if champion is None:
        detail = f"in {hide(store_uri())} there is no champion to be held against yet"
        case.check("champion", True, detail)
        return
    try:
        theirs = predictor.of_version(store_uri(), name, champion.number, gate.images)
    except RegistryError as error:
        case.check("champion", without_champion, f"the champion is lost: {error}; {MENDING}")
        return
    case.theirs = theirs
    case.paired = compare(ours.probabilities, theirs.probabilities, gate.labels)
    difference, margin = case.paired.difference, case.terms.margin
    low, high = (100 * limit for limit in difference.ci95)
    case.check(
        "champion",
        difference.ci95[0] > -margin,
        f"against version {champion.number} its accuracy is {100 * difference.estimate:+.2f} "
        f"points ({low:+.2f} to {high:+.2f}); the limit is {-100 * margin:+.2f}",
    )


def _put_forward(case: _Case, candidate: Candidate, arms: Sequence[ArmCeilings]) -> Version:
    """Register the candidate's model, unless it is the champion's own; look who is live."""
    digest = sha256_of(candidate.file)
    with open_store() as store:
        registry = Registry(store, case.terms.model)
        case.champion = registry.at("champion")
        if case.champion and case.champion.tags.get(SHA256) == digest:
            try:
                registry.check_file(case.champion)
            except RegistryError:
                # Put forward anew, it can take its own lost file's place.
                pass
            else:
                case.challenger, case.unchanged = case.champion, True
                return case.champion
        runs = read_runs(case.inputs.train / candidate.cell / "runs.json")
        store.log_train(candidate.cell, runs, case.inputs.models / candidate.cell)
        tags = _origin_tags(candidate, arms) | {SHA256: digest}
        case.challenger = registry.put_forward(store.model_of(candidate.run), tags)
        case.vetoed = registry.rolled_back(case.challenger)
    return case.challenger


def _veto(vetoed: Version | None) -> str:
    if vetoed is None:
        return "never was"
    undone = ": `lr-ceiling rollback` undoes that" if "previous" in vetoed.aliases else ""
    return f"version {vetoed.number}, this model, was rolled back{undone}"


def _read_cells(inputs: Inputs) -> dict[str, tuple[RunResult, ...]]:
    files = sorted(inputs.train.glob("*/runs.json"))
    if not files:
        raise ResultsError(f"no runs in {inputs.train}: run `dvc repro` to make them")
    cells = {file.parent.name: read_runs(file) for file in files}
    digest = splits_digest(inputs.splits)
    for cell, runs in cells.items():
        if not runs:
            raise ResultsError(f"{inputs.train / cell} holds no run: remove it and run `dvc repro`")
        if any(run.spec.data_digest != digest for run in runs):
            raise ResultsError(
                f"{inputs.train / cell} was trained on other data than {inputs.splits} holds: "
                "run `dvc repro`"
            )
    return cells


def _origin_tags(candidate: Candidate, arms: Sequence[ArmCeilings]) -> dict[str, str]:
    spec = candidate.run.spec
    facts = read_facts(spec.key)
    ceilings = {f"{arm.variant}-{arm.activation}": arm.headline.lr90.estimate for arm in arms}
    return {
        "cell": candidate.cell,
        "seed": str(spec.seed),
        "run_key": spec.key,
        "bytes": str(candidate.file.stat().st_size),
        "learning_rate": f"{spec.learning_rate:g}",
        "ceiling": f"{candidate.ceiling:g}",
        "ceilings": json.dumps(ceilings),
        "data_digest": spec.data_digest,
        "commit": (facts.commit if facts else commit()) or "unknown",
    }


def _verdict_tags(decision: Decision) -> dict[str, str]:
    tags = {
        "decision": decision.decision,
        "reason": decision.reason,
        "decided": decision.decided,
    }
    if decision.challenger and decision.challenger.measured:
        tags["gate_accuracy"] = f"{decision.challenger.measured.accuracy.estimate:.4f}"
    if decision.paired:
        tags["gate_difference"] = f"{decision.paired.difference.estimate:+.4f}"
    return tags


def _decision(case: _Case, passed: bool, live: Version | None, place: str) -> Decision:
    return Decision(
        decision="unchanged" if case.unchanged else "promoted" if passed else "refused",
        reason=case.reason,
        checks=tuple(case.checks),
        challenger=_entrant(case.challenger, case.ours, case.gate),
        champion=_entrant(case.champion, case.theirs, case.gate),
        paired=case.paired,
        margin=case.terms.margin,
        floor=case.terms.floor,
        gate_images=len(case.gate.labels) if case.gate else 0,
        live=live.number if live else None,
        decided=datetime.now(UTC).isoformat(timespec="seconds"),
        model=case.terms.model,
        registry=place,
        champions=_champions(case.terms.model, live, place),
    )


def _champions(name: str, live: Version | None, place: str) -> dict[str, last_known.Champion]:
    """A refusal in a store without a champion leaves what is known of the one that there was."""
    try:
        known = last_known.champions()
    # Who promotes without a champion all the same begins anew.
    except ValueError:
        known = {}
    if live is None:
        return known
    return {**known, name: last_known.Champion(version=live.number, registry=place)}


def _entrant(
    version: Version | None, prediction: Prediction | None, gate: Split | None
) -> Entrant | None:
    if version is None:
        return None
    return Entrant(
        version=version.number,
        origin={key: value for key, value in version.tags.items() if key in ORIGIN},
        measured=measure(prediction.probabilities, gate.labels) if prediction and gate else None,
        latency_ms=round(prediction.latency_ms, 2) if prediction else None,
    )
