"""The records of reports: studies, audits, ratios and others."""

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

# The variants as people name them.
VARIANTS: dict[Variant, str] = {"baseline": "baseline", "batchnorm": "batch norm"}


class EarlyDecisions(Record):
    """The number of trials that calls ended, of audited calls, and of wrong ones among these."""

    made: int
    audited: int
    wrong: int


class Best(Record):
    """The learning rate with the highest accuracy of the curve, and this accuracy."""

    learning_rate: float | None
    accuracy: float | None


class UsableRate(Record):
    """The highest learning rate at which a typical seed ends within `loss` of the best accuracy.

    `exists` is the probability that such a rate exists within the range of the runs; `reason` says
    why there is no number.
    """

    estimate: float | None
    ci95: tuple[float | None, float | None]
    exists: float
    loss: float | None
    best: Best
    reason: str | None = None


class Lag(Record):
    """The loss of saved models through batch norm's moving averages, if the weights are sound."""

    # Number of full runs that are stable by their weights.
    n: int
    # Accuracy by weights minus accuracy as saved: median and maximum of these runs.
    median: float
    most: float
    # P(the run reaches its target as saved | its weights are sound).
    keeps_up: Estimate


class AsSaved(Record):
    """The ceilings of the saved models, which use the moving averages of the training."""

    lr50: Estimate
    lr90: Estimate
    usable: UsableRate
    lag: Lag | None


class Confirmed(Record):
    """Fresh seeds at lr90's lower limit, and the number of stable ones.

    After failures the next seeds ran at lower rates; `lowest` is the lowest of them.
    """

    learning_rate: float
    lowest: float
    seeds: int
    stable: int


class Surest(Record):
    """The tried learning rate with the highest P(stable), and this probability."""

    learning_rate: float
    probability: Estimate


class CountedCalls(Record):
    """The number of audited early calls of a kind, and of wrong ones among them."""

    audited: int
    wrong: int


class AuditedCalls(Record):
    """The audited early calls of failure and of success, under a search's conditions."""

    failures: CountedCalls
    successes: CountedCalls

    @classmethod
    def of(cls, calls: Calls) -> Self:
        """The record of these calls."""
        failures, successes = (
            CountedCalls(audited=tally.audited, wrong=tally.wrong) for tally in calls
        )
        return cls(failures=failures, successes=successes)

    @property
    def tallies(self) -> Calls:
        """The calls in the form that a posterior takes."""
        failures, successes = self.failures, self.successes
        return Calls(
            Tally(failures.audited, failures.wrong), Tally(successes.audited, successes.wrong)
        )


class Spent(Record):
    """The full runs of a search, by its parts."""

    edge: float
    confirm: float
    usable: float


class Study(Record):
    """The results of an arm's search."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    target: float
    horizon_steps: int
    # Identity of the study, which determines its trials.
    key: str
    # The highest learning rates at which a fresh seed is stable with probability 0.5 and 0.9.
    lr50: Estimate
    lr90: Estimate
    # The usable rate: the highest one up to which no accuracy is lost.
    usable: UsableRate
    # The same for the models as saved; None without batch norm, for which they are the same.
    as_saved: AsSaved | None
    # None if nothing had to be confirmed.
    confirmed: Confirmed | None
    # The expected range of the ceiling, and the early calls that were audited before.
    expected: tuple[float, float]
    calls: AuditedCalls
    transition_decades: float
    bounded: Literal["both", "above only", "below only", "none"]
    # The fallback if there is no lr90.
    surest: Surest
    # The highest learning rate of a stable trial; None if no trial was stable.
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
    """The ratios of batch norm's ceilings to the baseline's, for one activation."""

    activation: Activation
    lr50: Estimate
    lr90: Estimate
    # The ratio of the usable rates.
    usable: Estimate | None = None
    # Probability that both lr90 exist, which the ratio of lr90 assumes.
    exists: float | None = None
    # Probability that batch norm's lr90 is not the higher one, given that both exist; None if the
    # trials don't bound both.
    not_higher: float | None = None


class Conditions(Record):
    """The conditions that affect whether an early call is right, besides learning rate and seed."""

    variant: Variant
    activation: Activation
    optimizer: Optimizer
    batch_size: int
    horizon_steps: int
    target: float
    data_digest: str

    @classmethod
    def of(cls, spec: RunSpec) -> Self:
        """The conditions of a run."""
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
    """The audited calls of one rule in one arm, and their conditions."""

    conditions: Conditions
    # The rate at which the arm's first runs fail. A call within a decade above is near the edge.
    edge: float
    # The learning rates of the calls, in order.
    learning_rates: tuple[float, ...]
    # The number of calls near the edge, which bound the error.
    near: int
    # The number of calls, near the edge or not, whose runs became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float


class AuditedRule(Record):
    """Continued runs that one rule of the judge would have ended.

    The counts are totals over all arms. `under` has the results by arm, which decide whether the
    rule may end a search's runs. It is empty for audits in format 2 or less, which did not record
    their conditions.
    """

    rule: Label
    # Number of calls near the edge.
    audited: int
    # The number of calls whose runs became stable.
    wrong: int
    # Upper limit of the share of wrong calls, with 95% confidence (Clopper-Pearson).
    wrong_share_below: float
    # The number of calls in each arm.
    arms: dict[str, int]
    under: tuple[AuditedArm, ...] = ()


class VerifiedPoint(Record):
    """Fresh seeds at a point of an arm, all run to their horizon."""

    # The point: usable, lr90 low, lr90 or lr50.
    at: str
    learning_rate: float
    seeds: int
    stable: int
    # Median accuracy, by weights, of the stable runs; None without one, and in format 1.
    accuracy: float | None = None
    # The 95% interval of the number of stable runs, by the search's posterior.
    predicted: tuple[int, int]
    right: bool


class TriedFinder(Record):
    """Fresh seeds at a learning rate from an LR range test."""

    # For example `fastai suggestion`.
    name: str
    learning_rate: float
    # Whether the sweep stopped because the loss had grown.
    stopped: bool
    # P(stable) at this rate by the search's posterior; None outside the limits of trials.
    probability: float | None
    seeds: int
    stable: int


class VerifiedArm(Record):
    """The verification of an arm's ceilings, and of range tests, by fresh seeds."""

    variant: Variant
    activation: Activation
    points: tuple[VerifiedPoint, ...]
    finders: tuple[TriedFinder, ...]


class Claim(Record):
    """A claim and its test; an unbounded side of an interval is None.

    `p_value` is two-sided, or twice the smaller tail of a posterior; None if the statistic has
    none. `holds_together` says whether a decisive verdict still holds if all claims of the report
    are tested together (evidence.family); None for an inconclusive verdict.
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
    """The number of stable seeds of a cell, and the probability that the cell is viable."""

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
    # Probability that any scale is stable with probability 0.9.
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
    """A cell of the grid: its runs, one per seed, in the order of `seeds`."""

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

    `median`, `least` and `most` describe these networks. `typical` is the median of all such
    networks with its interval (evidence.ceilings); the ceilings are divided by it.
    """

    median: float | None
    least: float | None
    most: float | None
    n: int
    typical: Estimate | None = None
    lr90_over_median: Estimate
    lr50_over_median: Estimate


class Pooled(Record):
    """The ceilings from all runs of an arm that the same engine made."""

    lr50: Estimate
    lr90: Estimate
    # Probability that an lr90 exists.
    exists: float
    usable: UsableRate
    # The fallback if there is no lr90.
    surest: Surest
    # The fit of Checks, for all these runs.
    fit: float
    widened: bool
    # Number of runs of each source.
    runs: dict[str, int]
    # Number of fresh seeds, which determine lr50 and lr90, and of stable ones among them.
    seeds: int
    stable: int
    # lr90 without each source of fresh seeds, since a pool can't be verified by its own runs.
    without: dict[str, Estimate]
    # Runs of another engine, named.
    left_out: tuple[str, ...]


class Theory(Record):
    """Critical learning rates at initialisation, and after some steps of training."""

    initial: CriticalRates
    trained: CriticalRates


class ArmCeilings(Study):
    """An arm of ceilings.json: the results of its search, without the study's key, and theory."""

    key: str = Field(default="", exclude=True)
    theory: Theory
    # None if nothing was pooled.
    pooled: Pooled | None = None

    @property
    def headline(self) -> Pooled:
        """The ceilings from all runs of the arm, or from its search if nothing was pooled."""
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
    """A compact table of runs without their curves, which stores shared values once.

    A row is a run: the values of its spec that are neither shared nor the default, then its
    measurements without those that are None.
    """

    # The origin: mnist.version's engine_digest and run_digest, and the kind of processor.
    engine: str
    identity: str
    processor: str
    shared: dict[str, Any]
    runs: tuple[dict[str, Any], ...]

    @classmethod
    def of(cls, runs: Iterable[RunSummary]) -> Self:
        """The table of one or more runs that were made here, in the order of their specs."""
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
        """The runs in the table."""
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


# The fields in which runs of one comparison differ; the other fields of their specs are shared.
NOT_SHARED = {"variant", "activation", "learning_rate", "seed", "init_scale", "ended_by"}
# The measurements of a run, and those that may be None.
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


def network(one: Study | CellSummary | VerifiedArm) -> str:
    """An arm as people name it."""
    return f"{VARIANTS[one.variant]}, {one.activation}"
