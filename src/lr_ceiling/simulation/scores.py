"""The results of a simulation for each oracle, as stored in the report."""

from lr_ceiling.execution.record import Record


class PeerResult(Record):
    """The cost of another method, in its best configuration, until its median error equals ours."""

    name: str
    configuration: str
    # None beyond the cap, here and in the limits of the interval.
    full_run_equivalents: int | None
    full_run_equivalents_ci95: tuple[int | None, int | None]
    # None if it never reached our error; the ratio is then above `at_least`.
    steps_ratio_at_equal_error: float | None
    at_least: float


class OwnResult(Record):
    """The results of our search on an oracle, over many studies."""

    name: str
    well_specified: bool
    transition_decades: float
    failure_cost: float
    studies: int
    # Coverage of the printed intervals. If there is no such rate, printing none is right.
    coverage_lr50: float
    coverage_lr90: float
    # None if runs have no scores.
    coverage_usable: float | None
    # The same, with fresh seeds at the ceilings pooled in.
    coverage_pooled_lr50: float
    coverage_pooled_lr90: float
    coverage_pooled_usable: float | None
    # Coverage of one-sided limits of lr90 alone; None if none was printed.
    one_sided_lr90: float | None
    # How often lr90 or a limit of it is printed, and the mean of its printed probability.
    claims_a_ceiling: float
    exists: float
    bias_decades: float | None
    error_decades: float | None
    interval_decades: float | None
    usable_decades: float | None
    trials: float
    # Full runs of the search for the edge; `spent` has those of each part.
    full_run_equivalents: float
    spent: dict[str, float]
    widened: float


class OracleResult(OwnResult):
    """OwnResult plus the other methods; `digest` identifies the first two studies' results."""

    digest: str | None = None
    peers: tuple[PeerResult, ...]
