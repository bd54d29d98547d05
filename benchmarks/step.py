"""The time of a training step on one core: ours, all single-threaded peers, and the floor."""

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.fleet import Fleet
from benchmarks.post import ACTIVATIONS
from benchmarks.protocol import Order
from benchmarks.rows import Row, against_peer

# How much longer a step may take: the baseline's than the floor, batch norm's than the baseline's.
BASELINE_BAR = 1.9
BATCHNORM_BAR = 1.45


def measure(
    ours: Fleet, floor: Fleet, peers: Sequence[Fleet], steps: int, repeats: int
) -> list[Row]:
    """One row per variant, activation and peer, in ms per step. All take turns on one core."""
    fleets = [floor, ours, *peers]
    arms = [(v, a) for a in ACTIVATIONS for v in ("baseline", "batchnorm")]
    times: dict[tuple[str, str, str], list[float]] = {
        (fleet.peer.name, *arm): [] for fleet in fleets for arm in arms
    }
    for repeat in range(repeats):
        for arm in arms:
            for fleet in fleets:
                order = Order("train", *arm, seed=repeat, steps=steps)
                seconds = fleet.processes[0].train(order).training
                times[fleet.peer.name, *arm].append(seconds / steps * 1000)
    rows = []
    for variant, activation in arms:
        mine = times[ours.peer.name, variant, activation]
        figure, unit = f"step-{variant}", "ms"
        if variant == "batchnorm":
            baseline = times[ours.peer.name, "baseline", activation]
            rows.append(
                against_peer(
                    figure, mine, baseline, "our baseline", unit, activation, bar=1 / BATCHNORM_BAR
                )
            )
        for fleet in [floor, *peers]:
            theirs = times[fleet.peer.name, variant, activation]
            bar = 1 / BASELINE_BAR if fleet is floor and variant == "baseline" else 1.0
            extra = {} if fleet is floor and variant == "batchnorm" else {"bar": bar}
            rows.append(
                against_peer(figure, mine, theirs, fleet.peer.name, unit, activation, **extra)
            )
    return rows


def fastest(figures: Iterable[dict[str, Any]]) -> float:
    """Seconds of our fastest step in a report's rows."""
    steps: list[float] = [one["ours"] for one in figures if one["id"].startswith("step-")]
    return min(steps) / 1000
