"""Records: what they refuse, and how they are written."""

import math
from pathlib import Path

import pydantic
import pytest

from lr_ceiling.errors import ResultsError
from lr_ceiling.execution.record import Record, _parse


class Measured(Record):
    name: str
    loss: float | None


ADAPTER = pydantic.TypeAdapter(Measured)


def test_a_record_can_t_be_changed_and_takes_no_unknown_field() -> None:
    record = Measured(name="a", loss=1.0)
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        record.loss = 2.0
    with pytest.raises(pydantic.ValidationError, match="extra"):
        Measured.model_validate({"name": "a", "loss": 1.0, "gain": 1.0})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_written_as_null(value: float, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(Measured(name="a", loss=value).model_dump_json())
    assert path.read_text() == '{"name":"a","loss":null}'
    assert _parse(ADAPTER, path) == Measured(name="a", loss=None)


def test_a_file_of_another_version_is_one_line_that_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text, place in (('{"name": "a"}', "loss"), ("[]", "the file"), ("{", "the file")):
        path.write_text(text)
        with pytest.raises(ResultsError, match=rf"of this version \({place}: ") as error:
            _parse(ADAPTER, path)
        assert "\n" not in str(error.value)
