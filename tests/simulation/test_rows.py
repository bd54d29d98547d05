"""The tables of a simulation."""

from conftest import ROOT
from lr_ceiling.report.schemas import SimulationReport
from lr_ceiling.simulation.graded import GRADED
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.rows import in_short


def test_every_network_is_in_the_report() -> None:
    oracles = SimulationReport.read(ROOT / "reports" / "simulation.json").oracles
    assert [oracle.name for oracle in oracles] == [one.name for one in (*ORACLES, *GRADED)]


def test_an_oracle_in_short() -> None:
    first = SimulationReport.read(ROOT / "reports" / "simulation.json").oracles[0]
    assert in_short(first) == (
        f"logistic-0.05: lr90's interval covers the truth in {100 * first.coverage_lr90:.1f}% of "
        f"{first.studies} studies of {first.full_run_equivalents:.1f} full runs"
    )
