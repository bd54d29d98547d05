"""Twins in one row, and the claims as a table: claim by activation."""

import pytest

from conftest import small_run
from lr_ceiling.evidence.comparison import summarise_cell
from lr_ceiling.evidence.records import Claim
from lr_ceiling.report.findings import Findings
from lr_ceiling.report.side_by_side import (
    SAYS,
    activations_of,
    claim_figures,
    claim_rows,
    difference,
    twins,
)
from lr_ceiling.report.verdicts import claims


def claim(name: str, estimate: float | None = None, low: float | None = None,
          high: float | None = None) -> Claim:  # fmt: skip
    return Claim(
        id=name,
        statement=f"the statement of {name}",
        verdict="supported",
        statistic="",
        estimate=estimate,
        ci95=(low, high),
        n=4,
    )


def test_twins_stand_beside_each_other_with_their_difference(findings: Findings) -> None:
    cells = [summarise_cell(runs) for runs in findings.cells.values()]
    found = twins(cells, claims(findings))
    assert [(one.activation, one.learning_rate) for one in found] == [("relu", 0.01), ("relu", 1)]
    for one in found:
        assert one.baseline
        assert one.batchnorm
        assert (one.baseline.variant, one.batchnorm.variant) == ("baseline", "batchnorm")
        assert one.claim
        assert one.claim.id == f"more-accurate-relu-{one.learning_rate:g}"
        assert difference(one.claim).startswith("+5.00 (")


def test_a_cell_alone_has_no_twin() -> None:
    (alone,) = twins([summarise_cell([small_run()])], [])
    assert alone.baseline
    assert alone.batchnorm is None
    assert difference(alone.claim) == "-"


def test_every_kind_of_claim_has_its_row(findings: Findings) -> None:
    found = claims(findings)
    rows = claim_rows(found)
    assert [claim.id for row in rows for claim in row.claims.values()] == [one.id for one in found]
    assert [row for row in rows if row.alone] == []
    assert activations_of(rows) == ["relu"]
    said = " ".join(row.says for row in rows)
    assert all(words in said for kind, words in SAYS.items() if kind != "easier-initialisation")


def test_a_row_has_the_claims_of_all_activations_and_one_of_none_stands_alone() -> None:
    names = ("faster-relu-1", "more-activations", "faster-sigmoid-1", "faster-at-best-relu")
    rows = claim_rows(map(claim, names))
    assert [(row.says, list(row.claims)) for row in rows] == [
        ("gets to 95% in fewer steps, learning rate 1", ["relu", "sigmoid"]),
        (SAYS["faster-at-best"], ["relu"]),
        ("the statement of more-activations", []),
    ]
    assert rows[2].alone == claim("more-activations")
    assert activations_of(rows) == ["relu", "sigmoid"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (claim("more-accurate-relu-1", 0.0029, 0.0011, 0.0047), "+0.29 points (+0.11 to +0.47)"),
        (claim("better-results-relu", -0.0263, -0.0789, 0.0262), "-2.63 points (-7.89 to +2.62)"),
        (claim("faster-relu-1", 2.62), "2.62 times (no interval)"),
        (claim("higher-learning-rate-relu", None, 233_700.0), "at least 234,000 times"),
        (claim("bias-unnecessary-relu", 1.6e-12), "less than 0.000001 (no interval)"),
        (claim("more-activations", 3.0, 2.0, 5.0), "3 (2 to 5)"),
        (claim("faster-relu-1"), "not bounded"),
    ],
)
def test_a_claims_figures_are_in_its_unit(found: Claim, words: str) -> None:
    assert claim_figures(found) == words
