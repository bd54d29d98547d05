"""Arguments of KerasProblem: what can't be is told in one line, before anything is imported."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras import KerasProblem, backend
from problems.networks import blobs, line, regression, with_dropout

X, Y = blobs(70)
VALIDATION = blobs(20, seed=1)


def problem(build_model: Any = with_dropout, x: Any = X, y: Any = Y, **others: Any) -> KerasProblem:
    settings: dict[str, Any] = {"validation_data": VALIDATION, "target": 0.9}
    return KerasProblem(build_model, x, y, **settings | others)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"build_model": None}, "build_model: None can't be called: give a function that builds"),
        ({"build_model": lambda width, depth: None}, "build_model: it asks for width, depth: make"),
        ({"build_model": lambda width, learning_rate=1: None}, "build_model: it asks for width: "),
        ({"y": Y[:60]}, "x: of different lengths: x has 70, y has 60: give one of each"),
        ({"x": {"a": X, "b": X[:9]}}, "x has 9 and 70, y has 70: give one of each"),
        ({"sample_weight": np.ones(7)}, "x has 70, y has 70, sample_weight has 7: give one"),
        ({"sample_weight": np.ones(70), "y": None}, "sample_weight: .* x has no y: give y as well"),
        ({"x": X[:0], "y": Y[:0]}, "x: it is empty: give at least one sample"),
        ({"x": [1, 2, 3]}, r"x: 1 \(int\) is no array: give arrays, a keras.utils.PyDataset"),
        ({"x": (x for x in X), "y": None}, r"x: <generator .* \(generator\) is no array: give"),
        ({"validation_data": None}, "validation_data: none is given, .*: give .x, y., or a"),
        ({"validation_data": (X, Y[:3])}, "validation_data has 70, validation_data's y has 3"),
        ({"validation_data": (X, Y, Y, Y)}, "validation_data: a tuple of 4: give .x, y. or .x"),
        ({"validation_data": (lambda: X, None)}, "a tuple with a dataset made by a function in it"),
        ({"x": lambda: None, "y": None}, "steps_per_epoch: a dataset made by a function has no"),
        ({"x": lambda: None}, "x: a dataset made by a function brings its targets .*: give no y"),
        ({"epochs": 0}, "epochs: 0 is too few: give at least 1"),
        ({"batch_size": -1}, "batch_size: -1 is too few: give at least 1"),
        ({"epochs": "3"}, "epochs: '3' is no whole number: give at least 1"),
        ({"epochs": 2.5}, "epochs: 2.5 is no whole number"),
        ({"target": "high"}, "target: 'high' can't be reached: give a finite number"),
        ({"class_weight": "balanced"}, "class_weight: 'balanced' is no dict: give each class's"),
        ({"target": float("nan")}, "target: nan can't be reached: give a finite number"),
    ],
)
def test_arguments_that_cannot_be_are_told_in_a_line(
    arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProblemError, match=message) as raised:
        problem(**arguments)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"target": 0.8},
        {"epochs": np.int64(2)},
        {"batch_size": 8},
        {"monitor": "val_loss"},
        {"mode": "min"},
        {"shuffle": False},
        {"steps_per_epoch": 5},
        {"class_weight": {0: 1.0, 1: 2.0}},
    ],
)
def test_a_stored_search_knows_what_decides_its_runs(changed: dict[str, Any]) -> None:
    known, other = problem().settings, problem(**changed).settings
    (name,) = changed
    assert {key for key in other if other[key] != known.get(key)} == {name}
    assert json.loads(json.dumps(other)) == other


def test_a_batch_has_keras_s_size_where_none_is_given() -> None:
    assert problem(batch_size=None).settings == problem(batch_size=32).settings


def test_a_target_is_asked_for() -> None:
    with pytest.raises(TypeError, match="target"):
        KerasProblem(with_dropout, X, Y, validation_data=VALIDATION)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({}, 3),
        ({"batch_size": 35, "epochs": 4}, 8),
        ({"batch_size": 100, "epochs": 4}, 4),
        ({"steps_per_epoch": 11, "epochs": 2}, 22),
        ({"x": lambda: None, "y": None, "steps_per_epoch": 11}, 11),
    ],
)
def test_the_horizon_is_counted_in_steps(arguments: dict[str, Any], steps: int) -> None:
    assert problem(**arguments).horizon == steps


@pytest.mark.parametrize(
    ("build_model", "expected"),
    [
        (lambda: None, False),
        (lambda width=3: None, False),
        (lambda *layers, **settings: None, False),
        (lambda learning_rate: None, True),
        (lambda width=3, *, learning_rate=0.1: None, True),
    ],
)
def test_a_builder_gets_the_rate_that_asks_for_it(build_model: Any, expected: bool) -> None:
    assert problem(build_model).takes_rate is expected


SCRIPT = """
import sys
import numpy as np
import lr_ceiling.problems.keras as subject
from lr_ceiling.problems.keras import KerasProblem

points = np.zeros((6, 4))
problem = KerasProblem(
    lambda: None, points, points, validation_data=(points, points), target=1.0
)
print(problem.libraries, sorted({"keras", "tensorflow"} & set(sys.modules)))
"""


def test_keras_is_not_imported_for_a_problem_and_the_backend_is_known(tmp_path: Path) -> None:
    def told(**variables: str) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=environment | {"HOME": str(tmp_path)} | variables,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert told() == "('keras', 'tensorflow', 'numpy') []"
    assert told(KERAS_BACKEND="jax") == "('keras', 'jax', 'numpy') []"
    (tmp_path / "keras.json").write_text('{"backend": "torch"}')
    assert told(KERAS_HOME=str(tmp_path)) == "('keras', 'torch', 'numpy') []"
    (tmp_path / "keras.json").write_text("{")
    assert told(KERAS_HOME=str(tmp_path)) == "('keras', 'tensorflow', 'numpy') []"


def test_a_model_is_no_builder() -> None:
    with pytest.raises(ProblemError, match=r"this is a model \(Sequential\), and each run needs"):
        problem(with_dropout())


def test_keras_that_is_imported_knows_its_backend() -> None:
    import keras

    assert backend() == keras.config.backend()


def test_a_problem_of_lambdas_travels_and_runs() -> None:
    points, sums = line(64)
    sent = KerasProblem(
        lambda: regression(),
        points,
        sums,
        validation_data=(points, sums),
        monitor="val_loss",
        target=1.0,
        epochs=8,
        batch_size=8,
    )
    told: list[int] = []
    outcome = cloudpickle.loads(cloudpickle.dumps(sent)).run(0.1, 0, told.append)
    assert outcome.label == "stable"
    assert outcome.score is not None
    assert outcome.score < 0.01
    assert told[-1] == sent.horizon == 64
    assert sent(1e-5, 0).label == "slow"
    diverged = sent(1e3, 0)
    assert diverged.label == "diverged"
    assert not diverged.called
    assert diverged.score is None
    # It ended with the first execution that was not finite, not at the horizon.
    assert 0 < diverged.cost < 1
