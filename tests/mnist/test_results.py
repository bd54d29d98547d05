"""Records of runs: identity, files, and what is no record."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import small_run, small_spec
from lr_ceiling.errors import ParamsError, ResultsError
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.identity import derived_seed, digest_of
from lr_ceiling.mnist.results import read_runs, write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params

TRAINING = params.load(Path(__file__).parents[2] / "params.yaml").training


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    runs = (small_run(), small_run(seed=1, label="dead", called="dead", called_at=5))
    write_runs(tmp_path / "new" / "runs.json", runs)
    assert read_runs(tmp_path / "new" / "runs.json") == runs
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["runs.json"]


def test_every_part_of_the_spec_is_in_the_key() -> None:
    changes = {
        "variant": "batchnorm", "activation": "tanh", "learning_rate": 0.1, "seed": 1,
        "optimizer": "sgd", "batch_size": 1, "epochs": 9, "steps_per_epoch": 9,
        "target_accuracy": 0.5, "init_scale": 2.0, "ended_by": ("dead",), "data_digest": "1",
    }  # fmt: skip
    assert set(changes) == set(RunSpec.model_fields)
    keys = {small_spec("0", **{name: value}).key for name, value in changes.items()}
    assert len(keys | {small_spec("0").key}) == len(changes) + 1


def test_the_key_is_the_same_on_any_machine() -> None:
    assert small_spec("0").key == "a5cbc2bec796c532"
    assert derived_seed("key", "run", 3) == 1_200_326_096


def test_params_and_particulars_make_a_spec() -> None:
    spec = RunSpec.of(
        TRAINING, variant="baseline", activation="relu", learning_rate=0.01, seed=0,
        data_digest="0", epochs=2,
    )  # fmt: skip
    assert (spec.horizon, spec.name) == (3750, "baseline relu lr=0.01 seed=0")
    hot = spec.model_copy(update={"learning_rate": 31_622.8})
    assert hot.name == "baseline relu lr=31,620 seed=0"
    with pytest.raises(ParamsError, match=r"^activation is 'relux': "):
        RunSpec.of(
            TRAINING, variant="baseline", activation="relux", learning_rate=0.01, seed=0,
            data_digest="0",
        )  # fmt: skip


@pytest.mark.parametrize("text", ["", "{}", "[{}]", '[{"spec": 1}]', "[1e400]", "\0"])
def test_foreign_files_are_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_text(text)
    with pytest.raises(ResultsError) as error:
        read_runs(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    for read in (read_runs, read_json):
        with pytest.raises(ResultsError, match="is missing: run `dvc repro`"):
            read(tmp_path / "runs.json")


def test_json_has_no_nan_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="nan"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}
    path.write_text("{")
    with pytest.raises(ResultsError, match="is not JSON"):
        read_json(path)


@given(st.lists(st.integers() | st.text() | st.floats(allow_nan=False), max_size=4))
def test_identity_follows_from_the_parts(parts: list[object]) -> None:
    assert digest_of(*parts) == digest_of(*json.loads(json.dumps(parts)))
    assert digest_of(*parts) != digest_of(*parts, 0)
    assert 0 <= derived_seed(*parts) < 2**32
