"""What reports hold: the studies, audits and ratios that others read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import pydantic
from pydantic import Field, model_validator

from lr_ceiling.execution.record import Record, _parse
from lr_ceiling.identity import processor
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, Optimizer, RunSpec, Variant
from lr_ceiling.mnist.version import engine_digest, run_digest
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.estimates import Belief, Checks, Estimate
from lr_ceiling.search.posterior import Calls, Tally


class EarlyDecisions(Record):
    """Trials that calls ended early; calls that were not followed, and how many were wrong."""

    made: int
    audited: int
    wrong: int


class Best(Record):
    """Where the curve of the accuracy is highest, and what it reaches there."""

    learning_rate: float | None
    accuracy: float | None


class UsableRate(Record):
    """The highest learning rate at which a typical seed ends within `loss` of the best accuracy.

    `exists` is how probable it is that there is one among the rates that runs cover; `reason` says
    why there is no number.
    """

    estimate: float | None
    ci95: tuple[float | None, float | None]
    exists: float
    loss: float | None
    best: Best
    reason: str | None = None


class Lag(Record):
    """What batch norm's moving averages cost the runs whose weights are sound, as saved."""

    # Runs to their end that are stable by their weights.
    n: int
    # Accuracy by weights less that as saved: the median of these runs, and the most.
    median: float
    most: float
    # P(the averages keep up | the weights are sound): that the run reaches its target as saved.
    keeps_up: Estimate


class AsSaved(Record):
    """The ceilings of the models as they are saved, with the averages that training left."""

    lr50: Estimate
    lr90: Estimate
    usable: UsableRate
    lag: Lag | None


class Confirmed(Record):
    """Fresh seeds at lr90's lower limit, and how many of them were stable.

    Where seeds failed, the next ones ran below: `lowest` is the lowest of their learning rates.
    """

    learning_rate: float
    lowest: float
    seeds: int
    stable: int


class Surest(Record):
    """Of the learning rates that were tried the one most probably stable, and P(stable) there."""

    learning_rate: float
    probability: Estimate


class CountedCalls(Record):
    """How many early calls of a kind an audit did not follow, and how many of these were wrong."""

    audited: int
    wrong: int


class AuditedCalls(Record):
    """Early calls of failure, and of success, by an audit under a search's conditions."""

    failures: CountedCalls
    successes: CountedCalls

    @classmethod
    def of(cls, calls: Calls) -> Self:
        """As a report holds them."""
        failures, successes = (
            CountedCalls(audited=tally.audited, wrong=tally.wrong) for tally in calls
        )
        return cls(failures=failures, successes=successes)

    @property
    def tallies(self) -> Calls:
        """As a posterior takes them."""
        failures, successes = self.failures, self.successes
        return Calls(
            Tally(failures.audited, failures.wrong), Tally(successes.audited, successes.wrong)
        )


class Spent(Record):
    """Full runs that a search spent, by what its trials were for."""

    edge: float
    confirm: float
    usable: float


class Study(Record):
    """What the search of an arm found."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    target: float
    horizon_steps: int
    # Identity of the study: what its trials follow from.
    key: str
    # The highest learning rates at which a fresh seed is stable with probability 0.5 and 0.9.
    lr50: Estimate
    lr90: Estimate
    # The highest rate up to which no accuracy is lost.
    usable: UsableRate
    # The same of the models as saved; None without batch norm, where they are the same.
    as_saved: AsSaved | None
    # None where nothing had to be confirmed.
    confirmed: Confirmed | None
    # Where the ceiling was expected, and the early calls that were audited before.
    expected: tuple[float, float]
    calls: AuditedCalls
    transition_decades: float
    bounded: Literal["both", "above only", "below only", "none"]
    # What can be said where there is no lr90.
    surest: Surest
    # The highest learning rate of a stable trial; None where no trial was stable.
    highest_stable: float | None
    stopped: Literal["interval", "range", "budget"]
    trials: int
    labels: dict[Label, int]
    steps_spent: int
    full_run_equivalents: float
    spent: Spent
    early_decisions: EarlyDecisions
    early_successes: EarlyDecisions = EarlyDecisions(made=0, audited=0, wrong=0)
    checks: Checks


class Ratio(Record):
    """Batch norm's ceilings over the baseline's, of one activation."""

    activation: Activation
    lr50: Estimate
    lr90: Estimate
    # Of the rates up to which no accuracy is lost.
    usable: Estimate | None = None
    # How probable it is that both lr90 exist: the ratio of lr90 holds where they do.
    exists: float | None = None
    # Where they do, how probable it is that batch norm's lr90 is not the higher one; None where the
    # trials don't bound both.
    not_higher: float | None = None


class Conditions(Record):
    """What decides whether an early call is right, besides learning rate and seed."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    batch_size: int
    horizon_steps: int
    target: float
    data_digest: str

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """Those of a run."""
        return cls(
            variant=spec.variant,
            activation=spec.activation,
            optimizer=spec.optimizer,
            batch_size=spec.batch_size,
            horizon_steps=spec.horizon,
            target=spec.target_accuracy,
            data_digest=spec.data_digest,
        )

    @property
    def arm(self) -> str:
        """The arm's name."""
        return f"{self.variant}-{self.activation}"


class AuditedArm(Record):
    """The calls of one rule that were not followed in one arm, and under which conditions."""

    conditions: Conditions
    # From where the arm's first runs fail; a call within a decade above it is near the edge.
    edge: float
    # Where the calls were, in order.
    learning_rates: tuple[float, ...]
    # How many of them were near the edge: these bound the error.
    near: int
    # How many calls, near the edge or not, became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float


class AuditedRule(Record):
    """Runs that one rule of the judge would have ended, and that ran on instead.

    The counts are those of all arms together; what may end a search's runs is told arm by arm, in
    `under`: there is none of an audit in format 2 or less, which did not tell its conditions.
    """

    rule: Label
    # Calls near the edge.
    audited: int
    # How many calls became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float
    # How many in each arm.
    arms: dict[str, int]
    under: tuple[AuditedArm, ...] = ()


class VerifiedPoint(Record):
    """Fresh seeds at a point of an arm, all run to their horizon."""

    # usable, lr90 low, lr90 or lr50.
    at: str
    learning_rate: float
    seeds: int
    stable: int
    # Median accuracy, by weights, of those that were stable; None where none was, and in format 1.
    accuracy: float | None = None
    # The 95% interval of how many are stable, by the search's own posterior.
    predicted: tuple[int, int]
    right: bool


class TriedFinder(Record):
    """Fresh seeds at a learning rate that is read off an LR range test."""

    # Such as `fastai suggestion`.
    name: str
    learning_rate: float
    # Whether the sweep stopped since the loss had grown.
    stopped: bool
    # P(stable) there by the search's posterior; None where no trial may go.
    probability: float | None
    seeds: int
    stable: int


class VerifiedArm(Record):
    """What fresh seeds say of an arm's ceilings, and of range tests beside them."""

    variant: Variant
    activation: Activation
    points: tuple[VerifiedPoint, ...]
    finders: tuple[TriedFinder, ...]


class Claim(Record):
    """A claim and what the runs say of it; an interval's unbounded side is None.

    `p_value` is two-sided, or twice the smaller tail of a posterior; None where the statistic has
    none. `holds_together` says whether a verdict that decides would also be given if all claims
    of the report were tested together (evidence.family); None where it decides nothing.
    """

    id: str
    statement: str
    verdict: str
    statistic: str
    estimate: float | None
    ci95: tuple[float | None, float | None]
    n: int
    p_value: float | None = None
    holds_together: bool | None = None


class Viability(Record):
    """How many seeds of a cell were stable, and how probable it is that the cell is viable."""

    variant: Variant
    activation: Activation
    learning_rate: float
    seeds: int
    stable: int
    viable: float


class Initialisation(Record):
    """The scales of the initial kernels, as factors on Glorot's, from which an arm learns."""

    variant: Variant
    activation: Activation
    learning_rate: float
    runs: int
    # How probable it is that any scale is stable with probability 0.9.
    exists: float
    lower: Estimate
    upper: Estimate
    width_decades: Estimate


class Spread(Record):
    """Mean, sample standard deviation (None for fewer than two) and the values themselves."""

    mean: float | None
    std: float | None
    values: tuple[float, ...]


class CellSummary(Record):
    """A cell of the grid: its runs, one a seed, in the order of `seeds`."""

    variant: Variant
    activation: Activation
    learning_rate: float
    seeds: tuple[int, ...]
    labels: dict[Label, int]
    validation_accuracy: Spread
    test_accuracy: Spread
    steps_to_95: tuple[int | None, ...]
    parameters: int


class CriticalRates(Record):
    """Critical learning rates of `n` of an arm's networks, and its ceilings over their median.

    `median`, `least` and `most` are of these networks; `typical` is the median of all such networks
    with its interval (evidence.ceilings), and what the ceilings are held against.
    """

    median: float | None
    least: float | None
    most: float | None
    n: int
    typical: Estimate | None = None
    lr90_over_median: Estimate
    lr50_over_median: Estimate


class Pooled(Record):
    """The ceilings by all runs of an arm that the same engine made."""

    lr50: Estimate
    lr90: Estimate
    # Probability that there is an lr90.
    exists: float
    usable: UsableRate
    # What can be said where there is no lr90.
    surest: Surest
    # As Checks has them, of all these runs.
    fit: float
    widened: bool
    # How many runs of each source.
    runs: dict[str, int]
    # The fresh seeds among them, by which lr50 and lr90 are known, and how many were stable.
    seeds: int
    stable: int
    # lr90 without each source of fresh seeds: the verification of a pool can't be its own.
    without: dict[str, Estimate]
    # Runs of another engine, named.
    left_out: tuple[str, ...]


class Theory(Record):
    """Critical learning rates at initialisation, and after some steps of training."""

    initial: CriticalRates
    trained: CriticalRates


class ArmCeilings(Study):
    """An arm of ceilings.json: what its search found, without the study's key, and theory."""

    key: str = Field(default="", exclude=True)
    theory: Theory
    # None where nothing was pooled.
    pooled: Pooled | None = None

    @property
    def headline(self) -> Pooled:
        """The ceilings by all runs of the arm; those of its search where nothing was pooled."""
        if self.pooled is not None:
            return self.pooled
        return Pooled(
            lr50=self.lr50,
            lr90=self.lr90,
            exists=self.checks.lr90_exists,
            usable=self.usable,
            surest=self.surest,
            fit=self.checks.fit,
            widened=self.checks.widened,
            runs={"search": self.trials},
            seeds=self.trials,
            stable=self.labels.get("stable", 0),
            without={},
            left_out=(),
        )


class RunTable(Record):
    """Runs without their courses, in few words: what all of them share is said once.

    A row is a run: of its spec what is neither shared nor the default, then what it showed; what is
    None there is left out.
    """

    # What made them: mnist.version's engine_digest and run_digest, and the kind of processor.
    engine: str
    identity: str
    processor: str
    shared: dict[str, Any]
    runs: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, runs: Iterable[RunSummary]) -> Self:
        """The table of runs, one or more, that were made here; in the order of their specs."""
        ordered = sorted(runs, key=_place)
        shared = ordered[0].spec.model_dump(exclude=NOT_SHARED, mode="json")
        rows = []
        for run in ordered:
            if run.spec.model_dump(exclude=NOT_SHARED, mode="json") != shared:
                raise ValueError(f"{run.spec.name} is of other conditions than {ordered[0].spec}")
            own = run.spec.model_dump(include=NOT_SHARED, exclude_defaults=True, mode="json")
            showed = run.model_dump(include=SHOWED, exclude_none=True)
            rows.append(own | showed)
        return cls(
            engine=engine_digest(),
            identity=run_digest(),
            processor=processor(),
            shared=shared,
            runs=tuple(rows),
        )

    def summaries(self) -> list[RunSummary]:
        """The runs themselves."""
        return [self._summary(row) for row in self.runs]

    @model_validator(mode="after")
    def _holds_runs(self) -> Self:
        for place, row in enumerate(self.runs):
            try:
                self._summary(row)
            except pydantic.ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise ValueError(f"run {place}: {where}: {first['msg']}") from None
        return self

    def _summary(self, row: Mapping[str, Any]) -> RunSummary:
        spec = {name: value for name, value in row.items() if name in NOT_SHARED}
        showed = {name: value for name, value in row.items() if name not in NOT_SHARED}
        return RunSummary.model_validate(
            {"spec": RunSpec(**{**self.shared, **spec}), **dict.fromkeys(MAY_LACK), **showed}
        )


# What distinguishes the runs of one comparison; the rest of their specs they have in common.
NOT_SHARED = {"variant", "activation", "learning_rate", "seed", "init_scale", "ended_by"}
# What a run shows, and what of that there may be none of.
SHOWED = set(RunSummary.model_fields) - {"spec"}
MAY_LACK = (
    "called",
    "called_at",
    "called_stable_at",
    "steps_to_95",
    "reestimated_accuracy",
    "test_accuracy",
)


def _place(run: RunSummary) -> tuple[object, ...]:
    spec = run.spec
    cell = (spec.variant, spec.activation, spec.learning_rate, spec.init_scale)
    return *cell, spec.seed, spec.ended_by


STUDY = pydantic.TypeAdapter(Study)

BELIEF = pydantic.TypeAdapter(Belief)


def read_study(path: Path) -> Study:
    """Read a study.json. Raises ResultsError for a missing or foreign file."""
    return _parse(STUDY, path)


def read_belief(path: Path) -> Belief:
    """Read a posterior.json. Raises ResultsError for a missing or foreign file."""
    return _parse(BELIEF, path)


Arm = tuple[Variant, Activation]
