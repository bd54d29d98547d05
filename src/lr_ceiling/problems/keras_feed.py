"""Makes the input of `Model.fit`, on each backend of Keras.

With TensorFlow all data become a `tf.data.Dataset`: arrays stay in memory as tensors, and batches
are gathered from them by index. The autotuning of tf.data is off: its thread sleeps for periods
that double, and the end of `fit` waits for it.
"""

import itertools
import operator
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.keras_data import Arrays, Nested, Source, is_dataset, leaves, mapped


@dataclass(frozen=True)
class Feed:
    """Data for `fit` and `evaluate`, with the arguments that belong to them.

    `steps` is the number of batches in an epoch if the data continue from one epoch to the next;
    None if each epoch is one pass over the data.
    """

    x: Any
    steps: int | None = None
    others: dict[str, Any] = field(default_factory=dict)

    @property
    def together(self) -> Any:
        """The data as `validation_data`."""
        parts = (self.others.get(name) for name in ("y", "sample_weight"))
        given = (self.x, *(part for part in parts if part is not None))
        return self.x if len(given) == 1 else given

    def inputs(self, count: int) -> Iterator[Nested]:
        """The model's inputs in the first `count` batches."""
        for batch in itertools.islice(self._batches(), count):
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batch)
            yield x

    def _batches(self) -> Iterator[Any]:
        if is_dataset(self.x):
            return iter(self.x)
        if isinstance(self.x, keras.utils.PyDataset):
            return (_standard(self.x[i]) for i in _places(self.x))
        return _slices(self.x, self.others["batch_size"])


def training_feed(
    source: Source, batch_size: int, shuffle: bool | str, seed: int, steps_per_epoch: int | None
) -> Feed:
    """Batches for training. Their order follows from the seed unless the dataset sets its own."""
    data = _made(source, batch_size, shuffle, seed)
    if not is_dataset(data):
        return _plain(data, batch_size, steps_per_epoch, shuffle=shuffle)
    if steps_per_epoch is None or steps_per_epoch == int(data.cardinality()):
        return Feed(data)
    # Keras would end an epoch when the data end, and warn.
    return Feed(data.repeat(), steps_per_epoch)


def validation_feed(source: Source, batch_size: int, steps: int | None) -> Feed:
    """Batches for validation: the first `steps`, or all of them.

    Raises ProblemError if the data are endless.
    """
    data = _made(source, batch_size, shuffle=False, seed=0)
    if steps is None and _is_endless(data):
        raise ProblemError(
            "validation_steps: validation_data has no end: say with validation_steps= how many "
            "batches of it to take"
        )
    if not is_dataset(data):
        return _plain(data, batch_size, steps)
    return Feed(data if steps is None else data.take(steps))


def _made(source: Source, batch_size: int, shuffle: bool | str, seed: int) -> Any:
    """A `tf.data.Dataset` on the TensorFlow backend, otherwise data in a form that Keras takes."""
    data = source if isinstance(source, Arrays) else source.made()
    if keras.config.backend() != "tensorflow":
        return data
    if isinstance(data, Arrays):
        data = _gathered(data, batch_size, shuffle, seed)
    elif isinstance(data, keras.utils.PyDataset):
        # Keras then loads it with threads or processes, without autotuning.
        if data.workers > 1 or data.use_multiprocessing:
            return data
        data = _generated(data, bool(shuffle), seed)
    return _not_autotuned(data)


def _plain(data: Any, batch_size: int, steps: int | None, **others: Any) -> Feed:
    if not isinstance(data, Arrays):
        return Feed(data, steps, others)
    names = ("y", "sample_weight")
    given = dict(zip(names, data.data[1:], strict=False))
    return Feed(data.data[0], steps, {"batch_size": batch_size} | given | others)


def _is_endless(data: Any) -> bool:
    if is_dataset(data):
        return bool(data.cardinality() == -1)
    return isinstance(data, keras.utils.PyDataset) and data.num_batches is None


def _gathered(arrays: Arrays, batch_size: int, shuffle: bool | str, seed: int) -> Any:
    """The arrays' batches, in a new order in each pass."""
    import tensorflow as tf

    # Otherwise the arrays would be put on a GPU, and copied back for each batch.
    with tf.device("CPU"):
        tensors = mapped(lambda array: tf.convert_to_tensor(_in_float_type(array)), arrays.data)
    steps = arrays.steps(batch_size)

    def one_pass(draw: Any) -> Any:
        order = tf.range(arrays.count)
        if shuffle and shuffle != "batch":
            order = tf.random.experimental.stateless_shuffle(order, tf.stack([seed, draw]))

        def batch(place: Any) -> Nested:
            chosen = order[place * batch_size : (place + 1) * batch_size]
            if shuffle == "batch":
                at = tf.stack([draw, place])
                chosen = tf.random.experimental.stateless_shuffle(chosen, at)
            return mapped(lambda tensor: tf.gather(tensor, chosen), tensors)

        return tf.data.Dataset.range(steps).map(batch)

    draws = tf.data.Dataset.random(seed, rerandomize_each_iteration=True).take(1)
    return draws.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(steps))


def _generated(dataset: keras.utils.PyDataset, shuffle: bool, seed: int) -> Any:
    """A PyDataset's batches. Its hooks are called when Keras would call them."""
    import tensorflow as tf

    draws = np.random.default_rng(seed)
    count = dataset.num_batches
    dataset.on_epoch_end()

    def one_pass() -> Iterator[Any]:
        dataset.on_epoch_begin()
        places = draws.permutation(count) if shuffle and count is not None else _places(dataset)
        for taken, place in enumerate(places, 1):
            batch = _standard(dataset[int(place)])
            # The generator is not resumed after the last batch.
            if taken == count:
                dataset.on_epoch_end()
            yield batch

    first = [_standard(dataset[i]) for i in itertools.islice(_places(dataset), 2)]
    specs = mapped(_spec, first[0]) if len(first) == 1 else _common(first)
    batches = tf.data.Dataset.from_generator(one_pass, output_signature=specs)
    length = tf.data.INFINITE_CARDINALITY if count is None else count
    return batches.apply(tf.data.experimental.assert_cardinality(length))


def _not_autotuned(dataset: Any) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    options.deterministic = True
    return dataset.with_options(options)


def _in_float_type(array: Any) -> Any:
    """The array; floats are converted to Keras's float type."""
    floats = np.issubdtype(array.dtype, np.floating)
    return array.astype(keras.config.floatx(), copy=False) if floats else array


def _standard(batch: Any) -> tuple[Nested, ...]:
    """A PyDataset's batch as (x,), (x, y) or (x, y, sample_weight) of arrays."""
    parts = batch if isinstance(batch, tuple | list) else (batch,)
    given = tuple(part for part in parts if part is not None)
    return tuple(mapped(lambda array: _in_float_type(np.asarray(array)), part) for part in given)


def _common(batches: list[Any]) -> Any:
    import tensorflow as tf

    specs = [mapped(_spec, batch) for batch in batches]
    return tf.nest.map_structure(
        lambda *parts: parts[0].most_specific_common_supertype(parts[1:]), *specs
    )


def _spec(array: Any) -> Any:
    import tensorflow as tf

    return tf.TensorSpec((None, *array.shape[1:]), array.dtype)


def _places(dataset: keras.utils.PyDataset) -> Iterable[int]:
    count = dataset.num_batches
    return itertools.count() if count is None else range(count)


def _slices(x: Nested, size: int) -> Iterator[tuple[Nested]]:
    for start in range(0, len(next(leaves(x))), size):
        part = slice(start, start + size)
        yield (mapped(operator.itemgetter(part), x),)
