"""What a simulation found, as tables."""

from collections.abc import Sequence

from lr_ceiling.simulation.peers import PEERS
from lr_ceiling.simulation.scores import OracleResult, PeerResult
from lr_ceiling.simulation.scoring import CAP


def in_short(oracle: OracleResult) -> str:
    """An oracle's line while the others run."""
    return (
        f"{oracle.name}: lr90's interval covers the truth in {oracle.coverage_lr90:.1%} of "
        f"{oracle.studies} studies of {oracle.full_run_equivalents:.1f} full runs"
    )


OURS = (
    "oracle", "covers lr50", "covers lr90", "bias", "error", "interval", "trials", "full runs",
)  # fmt: skip
OTHERS = ("oracle", "error", "ours", *PEERS)


def row(oracle: OracleResult) -> Sequence[str]:
    """What our search gave on an oracle, in decades and full runs: a row under OURS."""
    return (
        oracle.name,
        f"{oracle.coverage_lr50:.1%}",
        f"{oracle.coverage_lr90:.1%}",
        # Adding 0 makes 0 of -0.
        f"{round(oracle.bias_decades, 3) + 0:+.3f}",
        f"{oracle.error_decades:.3f}",
        f"{oracle.interval_decades:.2f}",
        f"{oracle.trials:.1f}",
        f"{oracle.full_run_equivalents:.1f}",
    )


def peers_row(oracle: OracleResult) -> Sequence[str]:
    """What others spend on an oracle until their error is ours: a row under OTHERS."""
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


def markdown(oracles: Sequence[OracleResult]) -> list[str]:
    """Both tables as lines of Markdown, for docs/simulation.md."""
    rows = [*map(row, oracles), *map(peers_row, oracles)]
    return [f"| {' | '.join(cells)} |" for cells in rows]
