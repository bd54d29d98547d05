"""What a simulation found, as its report holds it."""

from conftest import ROOT
from lr_ceiling.execution.files import read_json
from lr_ceiling.simulation.scores import OracleResult, OwnResult

COMMITTED = read_json(ROOT / "reports" / "simulation.json")["oracles"]


def test_a_result_is_written_in_the_order_of_the_report() -> None:
    for committed in COMMITTED:
        result = OracleResult.model_validate(committed)
        assert list(result.model_dump()) == list(committed)
        assert list(result.model_dump())[: len(OwnResult.model_fields)] == list(
            OwnResult.model_fields
        )


def test_an_earlier_result_has_no_digest() -> None:
    earlier = {name: value for name, value in COMMITTED[0].items() if name != "digest"}
    assert OracleResult.model_validate(earlier).digest is None
