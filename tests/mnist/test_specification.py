"""A run's specification: its identity, its name, and what no run can have."""

from pathlib import Path

import pytest

from conftest import small_spec
from lr_ceiling.errors import ParamsError
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params

TRAINING = params.load(Path(__file__).parents[2] / "params.yaml").training


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
