"""What a simulation found: as the committed report holds it, and nothing else."""

import pydantic
import pytest

from conftest import ROOT
from lr_ceiling.execution.files import read_json
from lr_ceiling.simulation.oracles import ORACLES
from lr_ceiling.simulation.scores import OracleResult


def test_the_committed_report_holds_every_oracle() -> None:
    found = read_json(ROOT / "reports" / "simulation.json")["oracles"]
    results = [OracleResult.model_validate(one) for one in found]
    assert [one.name for one in results] == [oracle.name for oracle in ORACLES]
    assert [one.well_specified for one in results] == [one.well_specified for one in ORACLES]
    with pytest.raises(pydantic.ValidationError, match="luck"):
        OracleResult.model_validate(found[0] | {"luck": 1})
