"""A table of runs: whole, in few words, and refused where it is damaged."""

from typing import Any

import pydantic
import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.records import RunTable
from lr_ceiling.identity import processor
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.version import engine_digest, run_digest

RUNS = [
    small_run(seed=1, learning_rate=0.1, label="dead", called="dead", called_at=7, steps=7),
    small_run(seed=0, learning_rate=0.1, init_scale=3.0, ended_by=("dead", "lost")),
    small_run(variant="batchnorm", reestimated_accuracy=0.96, test_accuracy=None),
    small_run(seed=0, learning_rate=0.1),
]


def summary(run: RunSummary) -> RunSummary:
    return RunSummary(**{name: getattr(run, name) for name in RunSummary.model_fields})


def test_a_table_holds_all_of_a_run_but_its_course() -> None:
    table = RunTable.of(RUNS)
    again = RunTable.model_validate_json(table.model_dump_json())
    assert again == table
    expected = [summary(RUNS[place]) for place in (3, 0, 1, 2)]
    assert again.summaries() == expected
    assert (again.engine, again.identity) == (engine_digest(), run_digest())
    assert again.processor == processor()


def test_what_all_share_and_what_there_is_none_of_is_left_out() -> None:
    table = RunTable.of(RUNS)
    assert set(table.shared) == {
        "optimizer", "batch_size", "epochs", "steps_per_epoch", "target_accuracy", "data_digest",
    }  # fmt: skip
    assert table.runs[0] == {
        "variant": "baseline", "activation": "relu", "learning_rate": 0.1, "seed": 0,
        "label": "stable", "steps": 20, "parameters": 93_322, "validation_accuracy": 0.95,
        "test_accuracy": 0.94,
    }  # fmt: skip
    assert (table.runs[2]["init_scale"], table.runs[2]["ended_by"]) == (3.0, ["dead", "lost"])


def test_the_order_of_the_runs_does_not_matter() -> None:
    assert RunTable.of(RUNS) == RunTable.of(RUNS[::-1])


def test_runs_of_other_conditions_are_no_table() -> None:
    longer = small_run().model_copy(update={"spec": small_spec("0" * 16, epochs=7)})
    with pytest.raises(ValueError, match="other conditions"):
        RunTable.of([*RUNS, longer])


@pytest.mark.parametrize("change", [{"label": "fine"}, {"seed": -1}, {"more": 1}, {"steps": None}])
def test_a_damaged_row_is_refused(change: dict[str, Any]) -> None:
    content = RunTable.of(RUNS).model_dump()
    content["runs"] = ({**content["runs"][0], **change},)
    with pytest.raises(pydantic.ValidationError):
        RunTable.model_validate(content)
