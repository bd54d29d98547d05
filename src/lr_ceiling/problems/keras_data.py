"""The data of a Keras model, in forms that can be sent to other processes.

TensorFlow is imported when batches are made, or when a `tf.data.Dataset` is given.
"""

import copy
import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.environment import muted_stderr
from lr_ceiling.problems.problem import is_a

# An array, or nested dicts and tuples of arrays.
Nested = Any
# Datasets that draw random numbers, with the positions of their two seed inputs. Both seeds are 0
# if the user gave none.
SEEDS = {
    "RandomDataset": (0, 1),
    "RandomDatasetV2": (0, 1),
    "ShuffleDataset": (2, 3),
    "ShuffleDatasetV3": (2, 3),
    "ShuffleAndRepeatDataset": (2, 3),
    "ShuffleAndRepeatDatasetV2": (2, 3),
}
# Datasets that keep state between passes, and the operation that gives each its own state.
KEEPS = {
    "CacheDatasetV2": "DummyMemoryCache",
    "RandomDatasetV2": "DummySeedGenerator",
    "ShuffleDatasetV3": "DummySeedGenerator",
    "ShuffleAndRepeatDatasetV2": "DummySeedGenerator",
}


@dataclass(frozen=True)
class Arrays:
    """Arrays (n, ...) in memory: `data` is x, (x, y) or (x, y, sample_weight)."""

    data: tuple[Nested, ...]
    count: int
    kind: ClassVar[str] = "an array"

    def steps(self, batch_size: int) -> int | None:
        """Number of batches in a pass; the last one may be smaller."""
        return -(-self.count // batch_size)


@dataclass(frozen=True)
class Graph:
    """A `tf.data.Dataset` as the bytes of its graph, from which each run makes a new dataset.

    A dataset that is used again would continue its shuffles from the state the last run left.
    """

    graph: bytes
    element_spec: Any
    cardinality: int | None
    kind: ClassVar[str] = "this tf.data.Dataset"

    def steps(self, batch_size: int) -> int | None:
        """Number of batches in a pass; None if the dataset does not know it."""
        return self.cardinality

    def made(self) -> Any:
        """The dataset, in its initial state."""
        import tensorflow as tf

        variant = tf.raw_ops.DatasetFromGraph(graph_def=self.graph)
        return tf.data.experimental.from_variant(variant, self.element_spec)


@dataclass(frozen=True)
class Batches:
    """A `keras.utils.PyDataset`. Each run gets a copy, since many shuffle themselves in place."""

    dataset: Any
    kind: ClassVar[str] = "this PyDataset"

    def steps(self, batch_size: int) -> int | None:
        """Number of batches in a pass; None if it is endless."""
        count: int | None = self.dataset.num_batches
        return count

    def made(self) -> Any:
        """A copy of the dataset in its initial state."""
        return copy.deepcopy(self.dataset)


@dataclass(frozen=True)
class Function:
    """A function that makes a dataset. It is called once per run."""

    function: Callable[[], Any]
    kind: ClassVar[str] = "a dataset made by a function"

    def steps(self, batch_size: int) -> int | None:
        """Unknown: only a run calls the function."""
        return None

    def made(self) -> Any:
        """The function's dataset: a `tf.data.Dataset` or a PyDataset."""
        dataset = self.function()
        if not (is_dataset(dataset) or is_pydataset(dataset)):
            raise ProblemError(
                f"the function for a dataset returned {dataset!r:.60}: "
                "return a tf.data.Dataset or a keras.utils.PyDataset"
            )
        return dataset


Source = Arrays | Graph | Batches | Function


def is_dataset(value: Any) -> bool:
    """Whether this is a `tf.data.Dataset`."""
    return is_a(value, "tensorflow", "DatasetV2")


def is_pydataset(value: Any) -> bool:
    """Whether this is a `keras.utils.PyDataset`."""
    return is_a(value, "keras", "PyDataset")


def source_of(name: str, x: Any, y: Any, sample_weight: Any) -> Source:
    """The data of the argument `name`, in a form that can be sent to another process.

    Raises ProblemError for data that can't be sent, for arrays of different lengths and for empty
    arrays.
    """
    source: Source
    if is_dataset(x):
        source = _graph(name, x)
    elif is_pydataset(x):
        source = Batches(x)
    elif callable(x) and not hasattr(x, "__array__"):
        source = Function(x)
    else:
        return _arrays(name, x, y, sample_weight)
    if y is not None or sample_weight is not None:
        raise ProblemError(
            f"{name}: {source.kind} brings its targets and weights with it: give no y and no "
            "sample_weight beside it"
        )
    return source


def mapped(function: Callable[[Any], Any], data: Nested) -> Nested:
    """The same structure with `function` applied to each array, and its lists as tuples."""
    if isinstance(data, dict):
        return {name: mapped(function, part) for name, part in data.items()}
    if isinstance(data, list | tuple):
        return tuple(mapped(function, part) for part in data)
    return function(data)


def leaves(data: Nested) -> Iterator[Any]:
    """The arrays in dicts, tuples and lists."""
    if isinstance(data, dict | list | tuple):
        for part in data.values() if isinstance(data, dict) else data:
            yield from leaves(part)
    else:
        yield data


def _arrays(name: str, x: Any, y: Any, sample_weight: Any) -> Arrays:
    given = {name: x, f"{name}'s y" if name != "x" else "y": y, "sample_weight": sample_weight}
    arrays = {
        part: mapped(functools.partial(_array, part), data)
        for part, data in given.items()
        if data is not None
    }
    lengths = {
        part: sorted({len(array) for array in leaves(data)}) for part, data in arrays.items()
    }
    if len(set(itertools.chain(*lengths.values()))) != 1:
        told = [f"{part} has {' and '.join(map(str, counts))}" for part, counts in lengths.items()]
        raise ProblemError(
            f"{name}: of different lengths: {', '.join(told)}: give one of each for each sample"
        )
    count = lengths[name][0]
    if count == 0:
        raise ProblemError(f"{name}: it is empty: give at least one sample")
    data = tuple(arrays.values())
    # Keras takes the second element for y.
    if y is None and sample_weight is not None:
        raise ProblemError(f"sample_weight: it weighs losses, and {name} has no y: give y as well")
    return Arrays(data, count)


def _array(name: str, value: Any) -> Any:
    if not hasattr(value, "__array__") or np.ndim(value) == 0:
        raise ProblemError(
            f"{name}: {value!r:.60} ({type(value).__name__}) is no array: give arrays, a "
            "keras.utils.PyDataset, a tf.data.Dataset, or a function that makes one"
        )
    return np.asarray(value)


def _graph(name: str, dataset: Any) -> Graph:
    import tensorflow as tf

    policy = tf.data.experimental.ExternalStatePolicy.FAIL
    try:
        # TensorFlow's C code also prints the error that it raises.
        with muted_stderr():
            serialised = tf.raw_ops.DatasetToGraphV2(
                input_dataset=tf.data.experimental.to_variant(dataset),
                external_state_policy=policy.value,
                strip_device_assignment=True,
            )
    except tf.errors.OpError as error:
        reason = " ".join(re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message).split())
        raise _untransportable(name, reason) from None
    graph = tf.compat.v1.GraphDef.FromString(serialised.numpy())
    if _draws_unseeded(graph.node):
        raise ProblemError(
            f"{name}: this tf.data.Dataset shuffles with no seed, so no run could be repeated: "
            "shuffle(..., seed=...), or give a function of no arguments that makes it"
        )
    _forget(name, graph)
    cardinality = int(dataset.cardinality())
    return Graph(
        graph.SerializeToString(deterministic=True),
        dataset.element_spec,
        cardinality if cardinality >= 0 else None,
    )


def _untransportable(name: str, reason: str) -> ProblemError:
    return ProblemError(
        f"{name}: this tf.data.Dataset can't be sent to a worker ({reason:.100}): give a "
        "function of no arguments that makes it"
    )


def _draws_unseeded(nodes: Iterable[Any]) -> bool:
    import tensorflow as tf

    constants = {node.name: node.attr["value"].tensor for node in nodes if node.op == "Const"}

    def is_zero(name: str) -> bool:
        constant = constants.get(name.partition(":")[0])
        return constant is not None and int(tf.make_ndarray(constant)) == 0

    return any(
        all(is_zero(node.input[place]) for place in SEEDS[node.op])
        for node in nodes
        if node.op in SEEDS
    )


def _forget(name: str, graph: Any) -> None:
    """Make the graph's datasets start from their initial state, wherever the graph is loaded.

    A graph refers to a dataset's state, such as a shuffle's position in its seeds, by a handle in
    this process. Loaded in this process, the dataset would continue from that state.
    """
    import tensorflow as tf

    handles = {
        node.name: node
        for node in graph.node
        if node.op == "Const" and node.attr["dtype"].type == tf.resource.as_datatype_enum
    }
    for node in graph.node:
        for kept in set(node.input) & set(handles):
            if node.op not in KEEPS:
                raise _untransportable(name, f"{node.op} holds on to something in this process")
            handles[kept].CopyFrom(type(node)(name=kept, op=KEEPS[node.op]))
