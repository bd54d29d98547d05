"""The rows of `reports/benchmark.json`, and the tables that show them."""

import os
import platform
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.places import PEERS_PYTHON, REPORT
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.rounding import significant

LIBRARIES = ("tensorflow", "keras", "numpy", "optuna", "mlflow", "dvc")
PEER_LIBRARIES = ("torch", "jax", "jaxlib")
HEADER = ("figure", "ours (least - most)", "against", "its figure (least - most)", "ratio", "n")


@dataclass(frozen=True)
class Row:
    """One figure: the medians of ours and of its reference, both in `unit`.

    `ratio` above 1 means that ours is better. If no alternative exists, `peer` is a bar or None.
    `of` distinguishes rows of one id; `extra` are further fields of the JSON.
    """

    id: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    unit: str
    runs: int
    range: tuple[float, float]
    peer_range: tuple[float, float] | None = None
    of: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Give the row in the report's form."""
        fields = {name: value for name, value in vars(self).items() if name != "extra"} | self.extra
        return {name: _rounded(value) for name, value in fields.items() if value not in (None, "")}


def against_peer(
    figure: str,
    ours: Sequence[float],
    peer: Sequence[float],
    peer_name: str,
    unit: str,
    of: str = "",
    **extra: Any,
) -> Row:
    """Give the row of two samples; smaller values are better."""
    middle, other = statistics.median(ours), statistics.median(peer)
    return Row(
        id=figure,
        ours=middle,
        peer=other,
        peer_name=peer_name,
        ratio=other / middle,
        unit=unit,
        runs=len(ours),
        range=(min(ours), max(ours)),
        peer_range=(min(peer), max(peer)),
        of=of,
        extra=extra,
    )


def against_bar(
    figure: str,
    ours: Sequence[float],
    bar: float,
    unit: str,
    of: str = "",
    more_is_better: bool = False,
    **extra: Any,
) -> Row:
    """Give the row of a sample that must stay below `bar`, or reach it."""
    middle = statistics.median(ours)
    ratio = middle / bar if more_is_better else bar / middle
    return Row(
        figure,
        middle,
        bar,
        "bar",
        ratio,
        unit,
        len(ours),
        (min(ours), max(ours)),
        of=of,
        extra=extra,
    )


def write_report(path: Path, rows: Iterable[Row]) -> None:
    """Write the report: an earlier report's rows of other figures, then the new rows.

    New rows name their processor if it is not the one of the kept rows.
    """
    figures = [row.as_json() for row in rows]
    measured = {figure["id"] for figure in figures}
    kept = [figure for figure in read_figures(path) if figure["id"] not in measured]
    here = machine()
    there = read_json(path)["machine"] if kept else here
    if here["cpu"] != there["cpu"]:
        figures = [figure | {"cpu": here["cpu"]} for figure in figures]
    write_json(path, {"machine": there, "figures": kept + figures})


def read_figures(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a report; an empty list if there is no report."""
    figures: list[dict[str, Any]] = read_json(path)["figures"] if path.exists() else []
    return figures


def cells(figure: dict[str, Any]) -> tuple[str, ...]:
    """One row of the table, as text."""
    name = f"{figure['id']}, {figure['of']}" if "of" in figure else figure["id"]
    ours = f"{_text(figure['ours'])} {figure['unit']}"
    low, high = figure["range"]
    peer = _text(figure["peer"]) if "peer" in figure else "-"
    peer_range = figure.get("peer_range")
    return (
        name,
        f"{ours} ({_text(low)} - {_text(high)})",
        figure["peer_name"],
        f"{peer} ({_text(peer_range[0])} - {_text(peer_range[1])})" if peer_range else peer,
        _text(figure["ratio"]) if "ratio" in figure else "-",
        str(figure["runs"]),
    )


def markdown(figures: Iterable[dict[str, Any]]) -> list[str]:
    """The table as lines of Markdown, one line per figure."""
    return [f"| {' | '.join(cells(figure))} |" for figure in figures]


def print_markdown() -> None:
    """Print the report's table for docs/benchmark.md: `python -m benchmarks.rows`."""
    print("\n".join(markdown(read_figures(REPORT))))


def machine() -> dict[str, Any]:
    """The kind of machine of the measurement, without its name."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [
        line.partition(":")[2].strip()
        for line in (cpuinfo.read_text() if cpuinfo.exists() else "").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{library: version(library) for library in LIBRARIES},
        **_versions_of_peers(),
    }


def _versions_of_peers() -> dict[str, str]:
    if not PEERS_PYTHON.exists():
        return {}
    script = f"import importlib.metadata as m; print(*map(m.version, {PEER_LIBRARIES}))"
    told = subprocess.run([PEERS_PYTHON, "-c", script], capture_output=True, text=True, check=True)
    return dict(zip(PEER_LIBRARIES, told.stdout.split(), strict=True))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return significant(value)
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list | tuple) else value


def _text(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    print_markdown()
