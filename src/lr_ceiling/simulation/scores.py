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
    # Of what is printed: where there is no such rate, it is right to print none.
    coverage_lr50: float
    coverage_lr90: float
    # None where runs have no scores.
    coverage_usable: float | None
    # The same pooled with fresh seeds at the ceilings.
    coverage_pooled_lr50: float
    coverage_pooled_lr90: float
    coverage_pooled_usable: float | None
    # Of one-sided limits of lr90 alone; None where none was printed.
    one_sided_lr90: float | None
    # How often an lr90 or a limit of it is printed, and how probable it is said to be on average.
    claims_a_ceiling: float
    exists: float
    bias_decades: float | None
    error_decades: float | None
    interval_decades: float | None
    usable_decades: float | None
    trials: float
    # Full runs of the search for the edge; `spent` tells those of each part.
    full_run_equivalents: float
    spent: dict[str, float]
    widened: float


class OracleResult(OwnResult):
    """The same, with the other ways; `digest` is of what the first two studies found."""

    digest: str | None = None
    peers: tuple[PeerResult, ...]
