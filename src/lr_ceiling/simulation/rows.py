"""The results of a simulation, as tables."""

from collections.abc import Sequence

from lr_ceiling.simulation.peers import PEERS
from lr_ceiling.simulation.scores import OracleResult, PeerResult
from lr_ceiling.simulation.scoring import CAP


def in_short(oracle: OracleResult) -> str:
    """One line with an oracle's results, for the progress display."""
    return (
        f"{oracle.name}: lr90's interval covers the truth in {oracle.coverage_lr90:.1%} of "
        f"{oracle.studies} studies of {oracle.full_run_equivalents:.1f} full runs"
    )


OURS = (
    "oracle", "studies", "covers lr50", "covers lr90", "covers usable", "pooled", "prints lr90",
    "P(exists)", "bias", "error", "interval", "edge", "confirm", "usable",
)  # fmt: skip
OTHERS = ("oracle", "error", "ours", *PEERS)


def row(oracle: OracleResult) -> Sequence[str]:
    """The results of our search on an oracle, in decades and full runs: a row under OURS."""
    pooled = (
        oracle.coverage_pooled_lr50,
        oracle.coverage_pooled_lr90,
        oracle.coverage_pooled_usable,
    )
    return (
        oracle.name,
        str(oracle.studies),
        _percent(oracle.coverage_lr50),
        _percent(oracle.coverage_lr90),
        _percent(oracle.coverage_usable),
        ", ".join(map(_percent, pooled)),
        _percent(oracle.claims_a_ceiling),
        f"{oracle.exists:.2f}",
        # Adding 0 turns -0 into 0.
        "-" if oracle.bias_decades is None else f"{round(oracle.bias_decades, 3) + 0:+.3f}",
        "-" if oracle.error_decades is None else f"{oracle.error_decades:.3f}",
        "-" if oracle.interval_decades is None else f"{oracle.interval_decades:.2f}",
        *(f"{oracle.spent[part]:.1f}" for part in ("edge", "confirm", "usable")),
    )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def peers_row(oracle: OracleResult) -> Sequence[str]:
    """The cost of other methods on an oracle until their error equals ours: a row under OTHERS."""
    return (
        oracle.name,
        f"{oracle.error_decades:.3f}",
        f"{oracle.full_run_equivalents:.1f}",
        *map(_spent, oracle.peers),
    )


def _spent(peer: PeerResult) -> str:
    cost, (low, high) = peer.full_run_equivalents, peer.full_run_equivalents_ci95
    above = "> " if cost is None else ""
    spread = f" ({low} to {high or f'> {CAP}'})" if low else ""
    return f"{above}{cost or CAP}{spread} = {above}{peer.at_least:.1f} x, {peer.configuration}"
