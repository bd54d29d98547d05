"""What a simulation found of each oracle, as its report holds it."""

from lr_ceiling.execution.record import Record


class PeerResult(Record):
    """What another way, in its best configuration, spends until its median error equals ours."""

    name: str
    configuration: str
    # None beyond the cap, here and in the interval's limits.
    full_run_equivalents: int | None
    full_run_equivalents_ci95: tuple[int | None, int | None]
    # None where it never got there: then it is above `at_least`.
    steps_ratio_at_equal_error: float | None
    at_least: float


class OwnResult(Record):
    """What our search found of an oracle, over many studies."""

    name: str
    well_specified: bool
    transition_decades: float
    failure_cost: float
    studies: int
    coverage_lr50: float
    coverage_lr90: float
    bias_decades: float
    error_decades: float
    interval_decades: float
    trials: float
    full_run_equivalents: float
    widened: float


class OracleResult(OwnResult):
    """The same, with the other ways; `digest` is of what the first two studies found."""

    digest: str | None = None
    peers: tuple[PeerResult, ...]
