"""Batches that `fit` is fed with: the samples of Keras's own, in an order of the run's seed."""

import itertools
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras_data import source_of
from lr_ceiling.problems.keras_feed import Feed, training_feed, validation_feed
from lr_ceiling.problems.keras_run import configure

# Threads can be set before TensorFlow's first operation only.
configure()

X = np.arange(20, dtype=np.float64).reshape(10, 2)
Y = np.arange(10)


class Numbers(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of 4, 4 and 2 numbers, again and again; it notes what it is asked for."""

    def __init__(self, count: int | None = 3, **others: Any) -> None:
        super().__init__(**others)
        self.count = count
        self.told: list[Any] = []

    @property
    def num_batches(self) -> int | None:
        return self.count

    def __getitem__(self, place: int) -> Any:
        chosen = slice(place % 3 * 4, place % 3 * 4 + 4)
        self.told.append(place)
        return (X[chosen], X[chosen, :1]), Y[chosen]

    def on_epoch_begin(self) -> None:
        self.told.append("begin")

    def on_epoch_end(self) -> None:
        self.told.append("end")


def labels(feed: Feed, passes: int = 1) -> list[list[int]]:
    """The labels of each batch, pass by pass."""
    return [batch[1].numpy().tolist() for _ in range(passes) for batch in feed.x]


def trained(source: Any, shuffle: bool | str = True, seed: int = 0, steps: Any = None) -> Feed:
    return training_feed(source, 4, shuffle, seed, steps)


def test_arrays_are_gone_through_in_an_order_of_the_seed() -> None:
    source = source_of("x", {"a": X}, [Y], None)
    once = labels_of_arrays(trained(source))
    assert [len(batch) for batch in once] == [4, 4, 2] * 2
    first, second = (list(itertools.chain(*once[start : start + 3])) for start in (0, 3))
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert labels_of_arrays(trained(source)) == once
    assert labels_of_arrays(trained(source, seed=1)) != once
    still = labels_of_arrays(trained(source, shuffle=False))
    assert still == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2
    within = labels_of_arrays(trained(source, shuffle="batch"))
    assert within != still
    assert [sorted(batch) for batch in within] == still


def labels_of_arrays(feed: Feed) -> list[list[int]]:
    assert len(feed.x) == 3
    return [batch[1][0].numpy().tolist() for _ in range(2) for batch in feed.x]


def test_samples_stay_together_and_floats_get_keras_s_type() -> None:
    feed = trained(source_of("x", X, Y, np.arange(10.0)))
    for x, y, weight in feed.x:
        assert x.dtype == weight.dtype == tf.float32
        assert y.dtype == tf.int64
        np.testing.assert_array_equal(x[:, 0], 2 * y.numpy())
        np.testing.assert_array_equal(weight, y)


def test_tf_data_is_not_autotuned() -> None:
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    for x, y in ((X, Y), (dataset, None), (Numbers(), None), (lambda: dataset, None)):
        feed = trained(source_of("x", x, y, None))
        assert feed.x.options().autotune.enabled is False


@pytest.mark.parametrize(("steps", "expected"), [(None, None), (3, None), (2, 2), (5, 5)])
def test_data_that_end_before_the_epoch_are_gone_through_anew(
    steps: int | None, expected: int | None
) -> None:
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    feed = trained(source_of("x", dataset, None, None), steps=steps)
    assert feed.steps == expected
    assert int(feed.x.cardinality()) == (3 if expected is None else -1)


def test_a_pydataset_is_asked_as_keras_asks_it() -> None:
    ours, theirs = Numbers(), Numbers()
    feed = trained(source_of("x", lambda: ours, None, None), shuffle=False)
    assert labels(feed, passes=2) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] * 2
    model = keras.Sequential([keras.layers.Concatenate(), keras.layers.Dense(1)])
    model.compile("sgd", "mse", steps_per_execution=3)
    model.fit(theirs, epochs=2, shuffle=False, verbose=0)
    # It looks at two batches for their shapes as well, before or after the first `end`.
    hooks = [told for told in ours.told if told in ("begin", "end")]
    assert hooks == ["end", "begin", "end", "begin", "end"]
    assert sorted(map(str, ours.told)) == sorted(map(str, theirs.told))


def test_a_pydataset_is_shuffled_by_the_seed() -> None:
    source = source_of("x", Numbers(), None, None)
    once = labels(trained(source), passes=4)
    assert sorted(once[:3]) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len({str(once[place : place + 3]) for place in range(0, 12, 3)}) > 1
    assert labels(trained(source), passes=4) == once
    assert labels(trained(source, seed=1), passes=4) != once


def test_a_pydataset_with_workers_is_left_to_keras() -> None:
    feed = trained(source_of("x", Numbers(workers=2), None, None))
    assert isinstance(feed.x, Numbers)
    assert feed.others == {"shuffle": True}
    assert [len(x[1]) for x in feed.inputs(9)] == [4, 4, 2]


def test_validation_takes_the_steps_that_it_is_given() -> None:
    for x, y in ((X, Y), (Numbers(), None), (Numbers(count=None), None)):
        feed = validation_feed(source_of("x", x, y, None), 4, 2)
        assert labels(feed) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert feed.steps is None


def test_validation_that_never_ends_is_told() -> None:
    endless = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4).repeat()
    for given in (endless, Numbers(count=None)):
        with pytest.raises(ProblemError, match="validation_data has no end: say with"):
            validation_feed(source_of("x", given, None, None), 4, None)


def test_inputs_are_what_a_model_is_called_with() -> None:
    feed = trained(source_of("x", {"a": X}, Y, None), shuffle=False)
    assert [x["a"][:, 0].numpy().tolist() for x in feed.inputs(2)] == [
        [0, 2, 4, 6],
        [8, 10, 12, 14],
    ]
    assert len(list(feed.inputs(9))) == 3


def test_other_backends_get_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    feed = trained(source_of("x", {"a": X}, Y, Y), steps=5)
    assert feed.x["a"] is X
    assert feed.steps == 5
    assert set(feed.others) == {"batch_size", "shuffle", "y", "sample_weight"}
    assert [len(x["a"]) for x in feed.inputs(9)] == [4, 4, 2]
    x, y, weight = validation_feed(source_of("x", X, Y, Y), 4, None).together
    assert x is X
    assert y is weight is Y
