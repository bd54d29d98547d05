"""Runs of KerasProblems: labels, the same result always, and each form of data."""

import gc
import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cloudpickle
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config

from lr_ceiling import find_ceiling
from lr_ceiling.errors import ParamsError, ProblemError
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.problems.keras import PREPARED_BY, KerasProblem
from lr_ceiling.problems.keras_run import configure, deterministic, steps_per_execution
from lr_ceiling.problems.outcome import Outcome
from problems.networks import (
    blobs,
    classifier,
    compiled,
    line,
    with_batch_norm,
    with_dropout,
)

# Threads can be set before TensorFlow's first operation only.
configure()

X, Y = blobs(80)
VALIDATION = blobs(40, seed=1)


def problem(build_model: Any = classifier, x: Any = X, y: Any = Y, **others: Any) -> KerasProblem:
    settings: dict[str, Any] = {
        "validation_data": VALIDATION,
        "target": 0.9,
        "batch_size": 8,
        "monitor": "val_loss",
        "mode": "min",
    }
    return KerasProblem(build_model, x, y, **settings | others)


@pytest.fixture(scope="module", autouse=True)
def _frozen() -> Iterator[None]:
    # Each run collects garbage: not among all that tests have imported.
    gc.freeze()
    yield
    gc.unfreeze()


def recorded(build: Any) -> tuple[Any, list[Any]]:
    """A builder, and the list of models that it has built."""
    built: list[Any] = []

    def build_model() -> Any:
        built.append(build())
        return built[-1]

    return build_model, built


def test_what_ran_before_changes_nothing() -> None:
    first = problem(with_dropout)
    once = first(0.1, 7)
    assert problem(with_batch_norm)(3.0, 1).label in ("stable", "slow")
    np.random.default_rng()
    keras.utils.set_random_seed(99)
    tf.random.normal([3])
    assert first(0.1, 7) == once
    assert once.as_saved is None
    assert first(0.1, 8).score not in (once.score, None)


def test_threads_of_a_process_change_nothing() -> None:
    subject = problem(with_dropout)
    alone = [subject(0.05, seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(subject, [0.05] * 4, range(4))) == alone


@pytest.fixture
def mixed() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.config.set_epsilon(1e-5)
    yield
    keras.config.set_dtype_policy("float32")
    keras.config.set_epsilon(1e-7)


def told_of_keras() -> Any:
    policy, epsilon = keras.config.dtype_policy().name, keras.config.epsilon()
    raise RuntimeError(f"{policy}, {epsilon}, {keras.config.floatx()}")


@pytest.mark.usefixtures("mixed")
def test_what_keras_was_told_holds_in_each_run() -> None:
    assert (
        problem().settings.items() >= {"dtype_policy": "mixed_bfloat16", "epsilon": "1e-05"}.items()
    )
    subject = problem(told_of_keras)
    for places in (local_executor(1, PREPARED_BY), ThreadPoolExecutor(1)):
        with places:
            told = places.submit(cloudpickle.loads(cloudpickle.dumps(subject)), 0.1, 0).exception()
        assert str(told) == "mixed_bfloat16, 1e-05, float32"
    keras.config.set_dtype_policy("float32")
    with pytest.raises(RuntimeError, match="mixed_bfloat16, 1e-05, float32"):
        subject(0.1, 0)
    assert keras.config.dtype_policy().name == "float32"
    keras.config.set_dtype_policy("mixed_bfloat16")
    # The end of a session would forget it.
    with pytest.raises(RuntimeError):
        subject(0.1, 0)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"


def test_another_backend_is_told() -> None:
    subject = problem()
    subject.backend = "jax"
    said = "Keras computes with tensorflow in this process, but the problem was made with jax: set"
    with pytest.raises(ProblemError, match=said):
        subject(0.1, 0)


def test_determinism_is_left_as_it_was() -> None:
    on: list[bool] = []

    def build() -> Any:
        on.append(config.is_op_determinism_enabled())
        return None

    for was_on in (False, True):
        if was_on:
            config.enable_op_determinism()
        with pytest.raises(ProblemError):
            problem(build)(0.1, 0)
        on.append(config.is_op_determinism_enabled())
    config.disable_op_determinism()
    assert on == [True, False, True, True]


TASK = """
import pickle


def run(sent):
    import tensorflow as tf

    outcome = pickle.loads(sent)(0.1, 7)
    threads = tf.config.threading
    return outcome, (
        threads.get_intra_op_parallelism_threads(), threads.get_inter_op_parallelism_threads()
    )
"""
SCRIPT = """
import pickle
import sys
from pathlib import Path

from lr_ceiling.execution.executor import local_executor
from lr_ceiling.problems.keras import PREPARED_BY
from task import run

with local_executor(1, PREPARED_BY) as executor:
    told = executor.submit(run, Path(sys.argv[1]).read_bytes()).result()
Path(sys.argv[2]).write_bytes(pickle.dumps(told))
"""


def test_a_worker_gives_the_same_with_one_thread_and_no_greetings(tmp_path: Path) -> None:
    # Of this function alone, so it travels as it is: no worker could import this module.
    def build() -> Any:
        import keras

        layers = keras.layers
        model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        return model

    sent = problem(build)
    (tmp_path / "sent").write_bytes(cloudpickle.dumps(sent))
    # Workers don't know the driver's main module.
    (tmp_path / "task.py").write_text(TASK)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py", "sent", "told"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    outcome, threads = pickle.loads((tmp_path / "told").read_bytes())
    assert threads == (1, 1)
    assert outcome == sent(0.1, 7)


class Numbers(keras.utils.PyDataset):  # type: ignore[misc]
    """The points in batches of 8."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, place: int) -> Any:
        chosen = slice(place * 8, place * 8 + 8)
        return X[chosen], Y[chosen]


def dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices((X, Y))


def shuffled() -> Any:
    """It has no seed of its own: it goes by the run's."""
    return dataset().shuffle(80).batch(8)


class Subclassed(keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2, activation="softmax")

    def call(self, x: Any) -> Any:
        return self.dense(x)


def subclassed() -> Any:
    return compiled(Subclassed())


def two_inputs(form: Any = dict) -> Any:
    named = {name: keras.Input((2,), name=name) for name in "ab"}
    x = keras.layers.Concatenate()(list(named.values()))
    inputs = named if form is dict else list(named.values())
    return compiled(keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x)))


NAMED = {"a": X[:, :2], "b": X[:, 2:]}
LISTED = list(NAMED.values())


@pytest.mark.parametrize(
    ("build", "settings"),
    [
        (
            classifier,
            {"x": X, "y": Y, "sample_weight": np.linspace(0, 2, 80), "steps_per_epoch": 7},
        ),
        (subclassed, {"x": X, "y": Y, "class_weight": {0: 1.0, 1: 5.0}, "epochs": 2}),
        (two_inputs, {"x": NAMED, "y": Y, "validation_data": (NAMED, Y, Y)}),
        (lambda: two_inputs(list), {"x": LISTED, "y": Y, "validation_data": (LISTED, Y)}),
        (classifier, {"x": Numbers(), "validation_data": Numbers(), "epochs": 2}),
    ],
    ids=["sample_weight", "subclass", "dict", "list", "pydataset"],
)
def test_a_run_is_what_fit_gives(build: Any, settings: dict[str, Any]) -> None:
    settings = {"shuffle": False, "validation_data": VALIDATION} | settings
    build_model, built = recorded(build)
    subject = problem(build_model, **{"y": None} | settings)
    outcome = subject(0.1, 3)
    size = {} if "y" not in settings else {"batch_size": 8}
    keras.utils.set_random_seed(3)
    with deterministic():
        model = build()
        model.optimizer.learning_rate = 0.1
        history = model.fit(**settings, **size, verbose=0).history
    assert outcome.score == history["val_loss"][-1]
    assert int(built[0].optimizer.iterations) == subject.horizon == int(model.optimizer.iterations)
    assert outcome.cost == 1.0


@pytest.mark.parametrize(
    ("data", "steps"),
    [
        (lambda: dataset().shuffle(80, seed=5).batch(8), None),
        (lambda: shuffled, 10),
        (lambda: dataset().repeat().batch(8), 7),
    ],
    ids=["seeded", "function", "endless"],
)
def test_datasets_give_the_same_each_time(data: Any, steps: int | None) -> None:
    build_model, built = recorded(classifier)
    subject = problem(build_model, data(), None, steps_per_epoch=steps, epochs=2)
    once = subject(0.1, 3)
    assert once.score is not None
    assert int(built[0].optimizer.iterations) == subject.horizon == 2 * (steps or 10)
    assert subject(0.1, 3) == once


def test_many_steps_are_one_call_unless_the_user_has_joined_them() -> None:
    build_model, built = recorded(classifier)
    subject = problem(build_model, batch_size=1, epochs=6)
    told: list[int] = []
    assert subject.run(0.01, 0, told.append).cost == 1.0
    # An epoch ends in the middle of a call.
    assert told[:4] == [50, 80, 130, 160]
    assert told[-1] == int(built[0].optimizer.iterations) == 480
    build_model, built = recorded(lambda: classifier(steps_per_execution=4))
    problem(build_model)(0.1, 0)
    assert built[0].steps_per_execution == 4


@pytest.mark.parametrize(
    ("horizon", "epoch", "expected"),
    [(399, None, 1), (400, None, 50), (5000, 14, 14), (5000, 150, 50), (5000, 53, 1)],
)
def test_a_call_never_goes_on_into_the_next_epoch(
    horizon: int, epoch: int | None, expected: int
) -> None:
    assert steps_per_execution(horizon, epoch) == expected


def test_a_schedule_is_built_of_the_rate() -> None:
    rates = []

    def build(learning_rate: float) -> Any:
        rates.append(learning_rate)
        schedule = keras.optimizers.schedules.ExponentialDecay(learning_rate, 10, 0.5)
        return classifier(optimizer=keras.optimizers.SGD(schedule))

    assert problem(build, target=0.6)(0.5, 0).label == "stable"
    assert rates == [0.5]


def raising(error: Exception) -> Any:
    class Raises(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            raise error

    return compiled(Raises([keras.Input((4,)), keras.layers.Dense(2)]))


@pytest.mark.parametrize(
    "build",
    [lambda: raising(ZeroDivisionError()), lambda: checked_regression()],
    ids=["arithmetic", "check_numerics"],
)
def test_arithmetic_that_fails_is_a_run_that_diverged(build: Any) -> None:
    points, sums = line(80)
    data = {"x": points, "y": sums, "validation_data": (points, sums)}
    outcome = problem(build, **data, epochs=20)(1e8, 0)
    assert outcome == Outcome(stable=False, label="diverged", cost=outcome.cost)
    assert 0 < outcome.cost < 1


def checked_regression() -> Any:
    class Checked(keras.Sequential):  # type: ignore[misc]
        def call(self, *args: Any, **others: Any) -> Any:
            return tf.debugging.check_numerics(super().call(*args, **others), "output")

    model = Checked([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_other_errors_are_errors() -> None:
    with pytest.raises(OSError, match="disk"):
        problem(lambda: raising(OSError("disk")))(0.1, 0)
    # Labels that can't be: TensorFlow's word is the same as of what is not finite.
    with pytest.raises(tf.errors.InvalidArgumentError):
        problem(y=Y + 5, build_model=with_indexed_loss)(0.1, 0)


def with_indexed_loss() -> Any:
    return classifier(
        loss=lambda truth, predicted: -tf.gather(predicted[0], tf.cast(truth, "int32"))
    )


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: None, "build_model returned None: return the compiled keras.Model at its end"),
        (
            lambda: keras.Sequential([keras.layers.Dense(2)]),
            r"a model \(sequential\) that is not compiled: call compile\(...\) in build_model",
        ),
        (
            lambda: classifier(
                optimizer=keras.optimizers.SGD(
                    keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
                )
            ),
            r"the optimizer \(sgd\) has a schedule, .*: make it build_model\(learning_rate\)",
        ),
        (
            lambda: classifier(optimizer=keras.optimizers.SGD(lambda: 0.2)),
            r"the optimizer \(sgd\) has a schedule, .*: make it build_model\(learning_rate\)",
        ),
    ],
)
def test_a_builder_that_cannot_be_is_told_in_a_line(build: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as raised:
        problem(build)(0.1, 0)
    assert "\n" not in str(raised.value)


def test_a_model_is_no_problem() -> None:
    with pytest.raises(ParamsError, match=r"the problem is a Keras model, .*: give KerasProblem\("):
        find_ceiling(classifier(), low=1e-3, high=1.0, progress=False)


def test_a_model_that_was_trained_before_is_told() -> None:
    model = classifier()
    subject = problem(lambda: model)
    subject(0.1, 0)
    with pytest.raises(ProblemError, match="has been trained: build and compile a new one"):
        subject(0.1, 0)


def test_a_typo_is_told_after_the_first_steps() -> None:
    build_model, built = recorded(classifier)
    with pytest.raises(ProblemError, match=r"'val_los' is not reported: .*the closest is val_loss"):
        problem(build_model, monitor="val_los", epochs=30)(0.1, 0)
    assert int(built[0].optimizer.iterations) == 1


def test_batch_norm_is_judged_by_its_weights() -> None:
    # Averages that hardly move: what is saved is what they started from.
    def lagging() -> Any:
        layers = keras.layers
        return classifier(
            layers.Dense(8), layers.BatchNormalization(momentum=0.99999), layers.ReLU()
        )

    shifted = X * 10 + 50
    validation = (VALIDATION[0] * 10 + 50, VALIDATION[1])
    build_model, built = recorded(lagging)
    subject = problem(
        build_model, shifted, monitor=None, mode="auto", validation_data=validation, epochs=6
    )
    outcome = subject(0.05, 1)
    assert outcome.label == "stable"
    assert outcome.score is not None
    assert outcome.as_saved is not None
    assert outcome.score >= 0.9 > outcome.as_saved
    model = built[0]
    # The model is as it was saved.
    assert model.evaluate(*validation, verbose=0, return_dict=True)["accuracy"] == outcome.as_saved
