"""Brings README and docs up to date with the reports: `python tests/tables.py`.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. The report page, and the figures
that docs show, are copied as the stage `report` wrote them.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from lr_ceiling.evidence import verification
from lr_ceiling.evidence.records import Claim, network
from lr_ceiling.report import side_by_side
from lr_ceiling.report.page import counts, median_steps, percent
from lr_ceiling.report.schemas import (
    CeilingsReport,
    ComparisonReport,
    SimulationReport,
    VerificationReport,
)
from lr_ceiling.report.side_by_side import twins
from lr_ceiling.report.words import (
    CLAIM_COLUMNS,
    claim_row,
    confirmed,
    in_short,
    in_times,
    keeps_up,
    lr90_times,
    no_accuracy_lost_up_to,
    pooled_runs,
    spent,
    trains_up_to,
)
from lr_ceiling.simulation import rows as simulated

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKED = re.compile(r"(<!-- table: ([\w-]+) -->\n)(?:.*?\n)??(<!-- end -->)", re.S)

Rows = Iterable[Sequence[str]]


def table(columns: Sequence[str], rows: Rows) -> str:
    """A table in Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def ceilings() -> CeilingsReport:
    """The ceilings of all arms."""
    return CeilingsReport.read(REPORTS / "ceilings.json")


def comparison() -> ComparisonReport:
    """The grid, and every claim."""
    return ComparisonReport.read(REPORTS / "comparison.json")


def answer() -> str:
    """The two learning rates of each network, by all its runs."""
    columns = "network", "no accuracy lost up to", "trains up to"
    rows = [
        (network(arm), no_accuracy_lost_up_to(arm), trains_up_to(arm)) for arm in ceilings().arms
    ]
    return table(columns, rows)


def searches() -> str:
    """What each search found by itself."""
    columns = (
        "network", "usable", "lr90", "lr50", "P(lr90 exists)", "confirmed", "full runs", "ended by",
        "trials",
    )  # fmt: skip
    rows = [
        (
            network(arm), in_short(arm.usable), in_short(arm.lr90), in_short(arm.lr50),
            f"{arm.checks.lr90_exists:.2f}", confirmed(arm.confirmed), spent(arm.spent),
            arm.stopped, f"{arm.trials}: {counts(arm.labels)}",
        )
        for arm in ceilings().arms
    ]  # fmt: skip
    return table(columns, rows)


def pooled() -> str:
    """What all runs of each network say together."""
    columns = (
        "network", "usable", "lr90", "lr50", "P(lr90 exists)", "runs", "lr90 without a source",
    )  # fmt: skip
    rows = []
    for arm in ceilings().arms:
        found = arm.headline
        without = [f"{source}: {in_short(lr90)}" for source, lr90 in found.without.items()]
        rows.append(
            (
                network(arm), in_short(found.usable), in_short(found.lr90), in_short(found.lr50),
                f"{found.exists:.2f}", pooled_runs(found), "; ".join(without) or "-",
            )
        )  # fmt: skip
    return table(columns, rows)


def as_saved() -> str:
    """What batch norm's moving averages cost."""
    columns = (
        "network", "usable as saved", "lr90 as saved", "points lost: median, most",
        "the averages keep up",
    )  # fmt: skip
    rows = [
        (
            network(arm), in_short(found.usable), in_short(found.lr90),
            f"{100 * found.lag.median:.1f}, {100 * found.lag.most:.1f}" if found.lag else "-",
            keeps_up(found.lag) if found.lag else "-",
        )
        for arm in ceilings().arms
        if (found := arm.as_saved)
    ]  # fmt: skip
    return table(columns, rows)


def ratios() -> str:
    """How many times the baseline's learning rates batch norm's are."""
    columns = "activation", "no accuracy lost up to", "trains up to", "lr50"
    rows = [
        (
            one.activation,
            in_times(one.usable) if one.usable else "-",
            lr90_times(one),
            in_times(one.lr50),
        )
        for one in ceilings().ratios
    ]
    return table(columns, rows)


def post() -> str:
    """The post's comparison: test accuracy in percent, and steps to 95%."""
    columns = (
        "activation, learning rate", "baseline", "batch norm", "difference in points",
        "steps to 95%: baseline, batch norm", "seeds",
    )  # fmt: skip
    found = comparison()
    rows = [
        (
            f"{pair.activation}, {pair.learning_rate:g}", percent(pair.baseline.test_accuracy),
            percent(pair.batchnorm.test_accuracy), difference(pair.claim),
            f"{median_steps(pair.baseline.steps_to_95)}, "
            f"{median_steps(pair.batchnorm.steps_to_95)}",
            str(len(pair.batchnorm.seeds)),
        )
        for pair in twins(found.cells, found.claims)
        if pair.baseline and pair.batchnorm and pair.claim
    ]  # fmt: skip
    return table(columns, rows)


def difference(claim: Claim) -> str:
    """A difference of accuracies in points, with its verdict."""
    if claim.ci95 == (None, None):
        return claim.verdict
    return f"{side_by_side.difference(claim)}: {claim.verdict}"


def claims() -> str:
    """Every claim as it was tested."""
    return table(CLAIM_COLUMNS, [claim_row(claim) for claim in comparison().claims])


def fresh_seeds() -> str:
    """How many fresh seeds were stable."""
    found = VerificationReport.read(REPORTS / "verification.json")
    return table(verification.POINT_COLUMNS, verification.point_rows(found.arms))


def range_tests() -> str:
    """What learning-rate range tests choose."""
    found = VerificationReport.read(REPORTS / "verification.json")
    return table(verification.FINDER_COLUMNS, verification.finder_rows(found.arms))


def simulation() -> str:
    """What our search gave on networks whose ceilings are known."""
    oracles = SimulationReport.read(REPORTS / "simulation.json").oracles
    return table(simulated.OURS, map(simulated.row, oracles))


def peers() -> str:
    """What others spend on them."""
    oracles = SimulationReport.read(REPORTS / "simulation.json").oracles
    compared = [oracle for oracle in oracles if oracle.peers]
    return table(simulated.OTHERS, map(simulated.peers_row, compared))


TABLES: dict[str, Callable[[], str]] = {
    "answer": answer,
    "searches": searches,
    "pooled": pooled,
    "as-saved": as_saved,
    "ratios": ratios,
    "post": post,
    "claims": claims,
    "fresh-seeds": fresh_seeds,
    "range-tests": range_tests,
    "simulation": simulation,
    "peers": peers,
}


def filled(text: str) -> str:
    """A page with the tables that it names."""
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def copies() -> dict[Path, Path]:
    """What the stage `report` wrote, by the copy of it that is committed in docs."""
    docs = ROOT / "docs"
    figures = {copy: REPORTS / "figures" / copy.name for copy in docs.glob("figures/*.png")}
    return {docs / "report.html": REPORTS / "index.html", **figures}


if __name__ == "__main__":
    for copy, written in copies().items():
        # Other figures are of other commands, and a fresh clone has the copies alone.
        if written.exists():
            shutil.copyfile(written, copy)
    for page in PAGES:
        before = page.read_text()
        if (after := filled(before)) != before:
            page.write_text(after)
