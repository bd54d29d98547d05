"""What a simulation found, as its report holds it."""

from lr_ceiling.simulation.scores import OracleResult, OwnResult
from simulation.made import small_oracle


def test_a_result_is_written_in_the_order_of_the_report() -> None:
    names = list(small_oracle().model_dump())
    assert names[: len(OwnResult.model_fields)] == list(OwnResult.model_fields)
    assert names[len(OwnResult.model_fields) :] == ["digest", "peers"]


def test_a_result_without_a_digest_is_read() -> None:
    written = small_oracle().model_dump()
    del written["digest"]
    assert OracleResult.model_validate(written).digest is None
