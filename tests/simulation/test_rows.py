"""The tables of a simulation."""

from conftest import ROOT
from lr_ceiling.report.schemas import SimulationReport
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.rows import in_short, markdown


def test_the_page_tells_what_the_report_holds() -> None:
    oracles = SimulationReport.read(ROOT / "reports" / "simulation.json").oracles
    assert [oracle.name for oracle in oracles] == [oracle.name for oracle in ORACLES]
    page = (ROOT / "docs" / "simulation.md").read_text().splitlines()
    names = tuple(f"| {oracle.name} |" for oracle in ORACLES)
    assert [line for line in page if line.startswith(names)] == markdown(oracles)


def test_an_oracle_in_short() -> None:
    first = SimulationReport.read(ROOT / "reports" / "simulation.json").oracles[0]
    assert in_short(first) == (
        "logistic-0.05: lr90's interval covers the truth in 95.8% of 1000 studies of 9.3 full runs"
    )
