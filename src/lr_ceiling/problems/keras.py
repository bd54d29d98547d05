"""A problem that trains any Keras model. Keras is imported when the first run starts."""

import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from lr_ceiling.errors import MissingExtra, ProblemError
from lr_ceiling.problems import keras_data
from lr_ceiling.problems.keras_data import Arrays, Source
from lr_ceiling.problems.monitors import AutoMode, mode_of
from lr_ceiling.problems.outcome import Outcome
from lr_ceiling.problems.problem import Problem, Report, is_a

PREPARED_BY = "lr_ceiling.problems.preload_keras"
DEFAULT_BACKEND = "tensorflow"
RATE = "learning_rate"
# Keras's default.
BATCH_SIZE = 32
# The defaults of Keras's global settings. The default dtype policy is that of the float type.
BEGIN = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}


class KerasProblem(Problem):
    """A problem whose runs train a fresh Keras model with `Model.fit` and validate it at the end.

    `build_model` returns a new compiled model at each call. If it takes no argument, its model's
    optimizer gets the learning rate. If it takes `learning_rate`, for schedules or parameter
    groups, it sets the learning rate itself.

    `x` and `y` are arrays (n, ...), or dicts, tuples or lists of arrays for several inputs or
    outputs. Or `x` alone is a `keras.utils.PyDataset`, a `tf.data.Dataset`, or a function without
    arguments that returns one of these. The worker calls the function after it has set the run's
    seed. Use a function if the dataset can't be sent to another process, or if it shuffles or
    augments without a seed of its own: its order then depends on the run's seed.

    The other arguments, except `target`, are those of `Model.fit`. A function, and a dataset of
    unknown length, need `steps_per_epoch`. Data that end before the last step are repeated.

    `validation_data` is `(x, y)`, `(x, y, sample_weight)`, or a dataset in one of those forms. A
    run is stable if `monitor` reaches `target` on it after the last epoch. The default monitor is
    `val_accuracy`. `mode` says whether higher ("max") or lower ("min") values are better; "auto"
    decides by the monitor's name. A run whose loss or weights are not finite is ended: it diverged.

    All runs, in any process, use the float type, epsilon, image format and dtype policy that
    `keras.config` held when the problem was made.

    A model with batch norm is judged by its weights: its moving averages are recomputed for the
    score. The score with the moving averages of the training is the outcome's `as_saved`.

    The same learning rate and seed give the same result, to the bit, on one kind of processor. In a
    process of the local executor, a run uses one thread and the process's GPU, if there is one. In
    a process that already uses TensorFlow, a run uses the threads set there, and the run's seed
    stays set. Runs in several threads of one process execute one after another.

    Raises ProblemError for invalid arguments and, when run, for an invalid builder; MissingExtra
    without Keras.

    Examples:
        >>> def build_model():
        ...     layers = [keras.layers.Dense(32, "relu"), keras.layers.Dense(10, "softmax")]
        ...     model = keras.Sequential(layers)
        ...     model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        ...     return model
        >>> problem = KerasProblem(
        ...     build_model, x, y, validation_data=(xv, yv), epochs=3, target=0.9
        ... )
        >>> problem(learning_rate=1e-3, seed=0).label
        'stable'
    """

    prepared_by = PREPARED_BY
    uses_gpus = True

    def __init__(
        self,
        build_model: Callable[..., Any],
        x: Any,
        y: Any = None,
        *,
        validation_data: Any,
        target: float,
        epochs: int = 1,
        batch_size: int | None = None,
        steps_per_epoch: int | None = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        shuffle: bool | str = True,
        validation_steps: int | None = None,
        monitor: str | None = None,
        mode: AutoMode = "auto",
        version: str = "",
    ) -> None:
        if not find_spec("keras"):
            raise MissingExtra("KerasProblem needs keras: pip install 'lr-ceiling[keras]'")
        # `fit` gives None the same meaning.
        batch_size = BATCH_SIZE if batch_size is None else batch_size
        counts = {
            "epochs": epochs,
            "batch_size": batch_size,
            "steps_per_epoch": steps_per_epoch,
            "validation_steps": validation_steps,
        }
        _check(counts, target, class_weight)
        self.build_model = build_model
        self.takes_rate = _takes_rate(build_model)
        self.data = keras_data.source_of("x", x, y, sample_weight)
        self.validation = _validation_source(validation_data)
        self.epochs, self.batch_size, self.shuffle = epochs, batch_size, shuffle
        self.class_weight = class_weight
        self.steps_per_epoch, self.validation_steps = steps_per_epoch, validation_steps
        self.monitor, self.mode, self.target = monitor, mode, target
        # The default monitor is an accuracy.
        self.better = "max" if monitor is None else mode_of(monitor, mode)
        self.version = version
        self.global_settings = global_settings()
        # Arguments that are None follow from the others.
        self.settings = {
            "target": float(target),
            "mode": mode,
            "shuffle": str(shuffle),
            **{name: int(count) for name, count in counts.items() if count is not None},
            **({"monitor": monitor} if monitor else {}),
            **({"class_weight": str(dict(sorted(class_weight.items())))} if class_weight else {}),
            **_changed(self.global_settings),
        }
        self.backend = backend()
        self.libraries = ("keras", self.backend, "numpy")
        self.horizon = epochs * self._epoch()

    def run(self, learning_rate: float, seed: int, report: Report) -> Outcome:
        """Train a fresh model with this learning rate and seed, and judge it."""
        from lr_ceiling.problems import keras_run

        return keras_run.run(self, learning_rate, seed, report)

    def _epoch(self) -> int:
        if self.steps_per_epoch is not None:
            return self.steps_per_epoch
        steps = self.data.steps(self.batch_size)
        if steps is None:
            raise ProblemError(
                f"steps_per_epoch: {self.data.kind} has no known length: "
                "say with steps_per_epoch= how many batches an epoch has"
            )
        return steps


def _check(counts: Mapping[str, Any], target: Any, class_weight: Any) -> None:
    for name, count in counts.items():
        if count is not None and not isinstance(count, Integral):
            raise ProblemError(f"{name}: {count!r:.60} is no whole number: give at least 1")
        if count is not None and int(count) < 1:
            raise ProblemError(f"{name}: {count} is too few: give at least 1")
    if not isinstance(target, Real) or not math.isfinite(target):
        raise ProblemError(f"target: {target!r:.60} can't be reached: give a finite number")
    if class_weight is not None and not isinstance(class_weight, Mapping):
        raise ProblemError(
            f"class_weight: {class_weight!r:.60} is no dict: give each class's weight, such as "
            "{0: 1.0, 1: 2.0}"
        )


def backend() -> str:
    """The package that Keras computes with, or would compute with if it were imported now."""
    keras = sys.modules.get("keras")
    if keras is not None and hasattr(keras, "config"):
        return str(keras.config.backend())
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"] or DEFAULT_BACKEND
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        return str(json.loads((home / "keras.json").read_text()).get("backend", DEFAULT_BACKEND))
    except (OSError, ValueError):
        return DEFAULT_BACKEND


def global_settings() -> dict[str, Any]:
    """The settings of `keras.config` in this process, by name; empty if Keras is not imported yet.

    They are sent to the workers, whose Keras does not see the settings of this process.
    """
    keras = sys.modules.get("keras")
    if keras is None or not hasattr(keras, "config"):
        return {}
    return {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
        "dtype_policy": keras.dtype_policies.serialize(keras.config.dtype_policy()),
    }


def _changed(found: Mapping[str, Any]) -> dict[str, str]:
    """The global settings that differ from Keras's defaults, for a stored search."""
    told = {name: value for name, value in found.items() if value != BEGIN.get(name)}
    policy = told.pop("dtype_policy", None)
    if policy is not None and policy["config"] != {"name": found["floatx"]}:
        told["dtype_policy"] = policy["config"].get("name", policy["config"])
    return {name: str(value) for name, value in told.items()}


def _takes_rate(build_model: Callable[..., Any]) -> bool:
    """Whether the builder takes the learning rate. Raises ProblemError if it is no builder."""
    if is_a(build_model, "keras", "Model"):
        raise ProblemError(
            f"build_model: this is a model ({type(build_model).__name__}), and each run needs its "
            "own: give a function that builds and compiles it"
        )
    if not callable(build_model):
        raise ProblemError(
            f"build_model: {build_model!r:.60} can't be called: give a function that builds and "
            "compiles a model"
        )
    parameters = inspect.signature(build_model).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind not in variable
    ]
    takes_rate = any(parameter.name == RATE for parameter in parameters)
    if needed not in ([], [RATE]):
        raise ProblemError(
            f"build_model: it asks for {', '.join(needed)}: make it build_model() or "
            f"build_model({RATE})"
        )
    return takes_rate


def _validation_source(data: Any) -> Source:
    if data is None:
        raise ProblemError(
            "validation_data: none is given, so no run can be judged: give (x, y), or a dataset"
        )
    if not isinstance(data, tuple):
        return keras_data.source_of("validation_data", data, None, None)
    if len(data) not in (2, 3):
        raise ProblemError(
            f"validation_data: a tuple of {len(data)}: give (x, y) or (x, y, sample_weight)"
        )
    source = keras_data.source_of("validation_data", *data, *[None] * (3 - len(data)))
    if not isinstance(source, Arrays):
        raise ProblemError(
            f"validation_data: a tuple with {source.kind} in it: give {source.kind} alone"
        )
    return source
