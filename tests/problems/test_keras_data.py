"""Data that are given, fit to be sent to another process."""

import pickle
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras_data import (
    Arrays,
    Batches,
    Function,
    Graph,
    leaves,
    mapped,
    source_of,
)
from lr_ceiling.problems.keras_run import configure
from problems.networks import blobs

# Threads can be set before TensorFlow's first operation only.
configure()

X, Y = blobs(12)


def dataset() -> Any:
    return tf.data.Dataset.from_tensor_slices(({"a": X, "b": X[:, :1]}, Y))


def test_arrays_are_kept_in_their_structure() -> None:
    source = source_of("x", {"a": X, "b": [X, X]}, tf.constant(Y), None)
    assert isinstance(source, Arrays)
    assert source.steps(5) == 3
    x, y = source.data
    assert set(x) == {"a", "b"}
    assert isinstance(x["b"], tuple)
    np.testing.assert_array_equal(y, Y)


def test_structures_are_gone_through() -> None:
    nested = {"a": 1, "b": [2, (3, {"c": 4})]}
    assert list(leaves(nested)) == [1, 2, 3, 4]
    assert mapped(lambda leaf: leaf * 10, nested) == {"a": 10, "b": (20, (30, {"c": 40}))}


def test_a_dataset_travels_with_its_shuffle_and_starts_anew() -> None:
    shuffled = dataset().shuffle(12, seed=3).batch(4).map(lambda x, y: (x, y + 1))
    source = source_of("x", shuffled, None, None)
    assert isinstance(source, Graph)
    assert source.steps(1) == 3
    arrived = pickle.loads(pickle.dumps(source))

    def labels(data: Any) -> list[int]:
        return [int(label) for _, y in data for label in y]

    first, second = labels(arrived.made()), labels(arrived.made())
    assert first == second == labels(shuffled)
    assert sorted(first) == sorted(Y + 1)
    # In one that is not made anew the order changes from pass to pass.
    made = arrived.made()
    assert labels(made) == first != labels(made)
    assert made.element_spec == shuffled.element_spec


def test_a_cache_is_filled_anew() -> None:
    drawn = tf.data.Dataset.random(seed=4, rerandomize_each_iteration=True).take(3).cache()
    source = source_of("x", drawn, None, None)
    assert isinstance(source, Graph)
    once = [list(source.made().as_numpy_iterator()) for _ in range(2)]
    assert once[0] == once[1] == list(drawn.as_numpy_iterator())


@pytest.mark.parametrize(
    ("change", "steps"),
    [
        (lambda data: data.repeat(), None),
        (lambda data: data.filter(lambda x, y: y > 0), None),
        (lambda data: data.batch(5), 3),
    ],
)
def test_a_dataset_tells_its_length_where_it_knows(change: Any, steps: int | None) -> None:
    assert source_of("x", change(dataset()), None, None).steps(32) == steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda data: data.batch(4).interleave(
                lambda x, y: tf.data.Dataset.from_tensor_slices(y).shuffle(4)
            ),
            r"x: this tf.data.Dataset can't be sent to a worker \(Failed .* stateful\.\): give a",
        ),
        (
            lambda data: data.map(lambda x, y: (tf.random.uniform([]), y)),
            "x: this tf.data.Dataset can't be sent to a worker .*: give a function of no arguments",
        ),
        (
            lambda data: tf.data.Dataset.from_generator(
                lambda: iter([1]), output_signature=tf.TensorSpec([], tf.int32)
            ),
            "x: this tf.data.Dataset can't be sent to a worker .*: give a function of no arguments",
        ),
    ],
)
def test_a_dataset_that_cannot_travel_is_told_in_a_line(change: Any, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as raised:
        source_of("x", change(dataset()), None, None)
    assert "\n" not in str(raised.value)


UNSEEDED = """
import tensorflow as tf
from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras_data import source_of

for dataset in (tf.data.Dataset.range(9).shuffle(9).batch(3), tf.data.Dataset.random()):
    try:
        source_of("x", dataset, None, None)
    except ProblemError as error:
        print(error)
"""


def test_a_shuffle_with_no_seed_is_told_in_a_line() -> None:
    # In a process of its own: here a test may have set the seed of all that have none.
    done = subprocess.run([sys.executable, "-c", UNSEEDED], capture_output=True, text=True)
    expected = (
        "x: this tf.data.Dataset shuffles with no seed, so no run could be repeated: "
        "shuffle(..., seed=...), or give a function of no arguments that makes it"
    )
    assert done.stdout.splitlines() == [expected] * 2


class InPlace(keras.utils.PyDataset):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.order = np.arange(12)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Any:
        chosen = self.order[place * 4 : place * 4 + 4]
        return X[chosen], Y[chosen]

    def on_epoch_end(self) -> None:
        np.random.shuffle(self.order)


def test_what_a_run_does_to_a_pydataset_is_not_seen_by_the_next() -> None:
    source = source_of("x", InPlace(), None, None)
    assert isinstance(source, Batches)
    assert source.steps(32) == 3
    made = source.made()
    made.on_epoch_end()
    assert list(made.order) != list(range(12))
    assert list(source.made().order) == list(range(12))


def test_a_function_makes_the_dataset_at_each_run() -> None:
    source = source_of("x", dataset, None, None)
    assert isinstance(source, Function)
    assert source.steps(32) is None
    assert source.made().element_spec == dataset().element_spec
    nothing = source_of("x", lambda: (X, Y), None, None)
    assert isinstance(nothing, Function)
    with pytest.raises(ProblemError, match=r"returned \(array.*return a tf.data.Dataset or"):
        nothing.made()
