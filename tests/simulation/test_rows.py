"""The tables of a simulation."""

from conftest import ROOT
from lr_ceiling.report.schemas import SimulationReport
from lr_ceiling.simulation.graded import GRADED
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.rows import OTHERS, OURS, in_short, peers_row, row
from simulation.made import small_oracle


def test_the_report_holds_networks_that_there_are_in_their_order() -> None:
    found = [one.name for one in SimulationReport.read(ROOT / "reports/simulation.json").oracles]
    assert found == [one.name for one in (*ORACLES, *GRADED) if one.name in found]


def test_an_oracle_in_short() -> None:
    assert in_short(small_oracle()) == (
        "logistic-0.05: lr90's interval covers the truth in 95.8% of 1000 studies of 9.3 full runs"
    )


def test_a_row_tells_what_is_known_and_no_sign_of_nothing() -> None:
    told = dict(zip(OURS, row(small_oracle()), strict=True))
    assert (told["covers lr90"], told["covers usable"], told["pooled"]) == (
        "95.8%", "-", "96.0%, 95.0%, -",
    )  # fmt: skip
    assert (told["bias"], told["edge"], told["confirm"]) == ("+0.000", "9.3", "2.5")
    others = dict(zip((*OTHERS[:3], "grid"), peers_row(small_oracle()), strict=True))
    assert others["grid"] == "> 100 (63 to > 100) = > 10.7 x, 25 points"
