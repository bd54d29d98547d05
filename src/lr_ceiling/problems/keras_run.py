"""One run of a KerasProblem. Importing this imports Keras."""

import contextlib
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.batch_norm import kept, norms, retake_averages
from lr_ceiling.problems.keras import global_settings
from lr_ceiling.problems.keras_feed import Feed, training_feed, validation_feed
from lr_ceiling.problems.outcome import Outcome
from lr_ceiling.problems.problem import Report
from lr_ceiling.problems.stability_monitor import StabilityMonitor

if TYPE_CHECKING:
    from lr_ceiling.problems.keras import KerasProblem

# Steps that TensorFlow takes in one call, and so between checks of the loss. Each call costs about
# 1 ms, and compiling the loop of steps 0.3 s, so the loop pays off from some 400 steps on.
STEPS_PER_EXECUTION = 50
SHORT_RUN = 400
# Training batches over which batch norm's averages are recomputed. Between draws of 50 batches of
# 32, an accuracy on MNIST varied by at most .0007; of 20 batches by .0018, of 10 by .0022.
REESTIMATION_BATCHES = 50
# Seeds, layer names and global settings belong to the process, so its runs execute one by one.
_ALONE = threading.RLock()
# Messages of TensorFlow's numeric checks.
NOT_FINITE = re.compile(r"Tensor had (NaN|-?Inf)|Detected Infinity or NaN")


def configure() -> None:
    """Give TensorFlow one thread, and GPU memory on demand. No effect once TensorFlow is in use."""
    if keras.config.backend() != "tensorflow":
        return
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


def run(problem: "KerasProblem", learning_rate: float, seed: int, report: Report) -> Outcome:
    """Train a fresh model, and judge it.

    Raises ProblemError for an invalid builder, and if Keras has another backend.
    """
    _check_backend(problem.backend)
    configure()
    with _ALONE, _fresh(problem.global_settings), deterministic():
        # All random numbers follow from the seed.
        keras.utils.set_random_seed(int(seed))
        return _outcome(problem, learning_rate, seed, report)


def _check_backend(wanted: str) -> None:
    found = keras.config.backend()
    if found != wanted:
        raise ProblemError(
            f"Keras computes with {found} in this process, but the problem was made with {wanted}: "
            f"set KERAS_BACKEND={wanted} before Python starts"
        )


@contextlib.contextmanager
def _fresh(settings: Mapping[str, Any]) -> Iterator[None]:
    """Start a new Keras session with these global settings, without state of earlier runs.

    Without settings, those of this process apply, which ending a session would reset.
    """
    before = global_settings()
    keras.utils.clear_session()
    _set_globally(settings or before)
    try:
        yield
    finally:
        _set_globally(before)


def _set_globally(settings: Mapping[str, Any]) -> None:
    keras.config.set_floatx(settings["floatx"])
    keras.config.set_epsilon(settings["epsilon"])
    keras.config.set_image_data_format(settings["image_data_format"])
    keras.config.set_dtype_policy(keras.dtype_policies.deserialize(settings["dtype_policy"]))


@contextlib.contextmanager
def deterministic() -> Iterator[None]:
    """Make TensorFlow's operations deterministic inside; afterwards restore the process's setting.

    Deterministic operations give other bytes, which other trainings in this process must not get.
    """
    if keras.config.backend() != "tensorflow":
        yield
        return
    # TensorFlow has no public function to undo the setting.
    from tensorflow.python.framework import config

    was_on = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        yield
    finally:
        if not was_on:
            config.disable_op_determinism()


def _outcome(problem: "KerasProblem", learning_rate: float, seed: int, report: Report) -> Outcome:
    model = _built(problem, float(learning_rate))
    train = training_feed(
        problem.data, problem.batch_size, problem.shuffle, seed, problem.steps_per_epoch
    )
    validation = validation_feed(problem.validation, problem.batch_size, problem.validation_steps)
    judge = StabilityMonitor(problem.monitor, target=problem.target, mode=problem.mode)
    # Only if the user has set nothing else.
    on_tensorflow = keras.config.backend() == "tensorflow"
    if on_tensorflow and model.steps_per_execution == 1 and not model.run_eagerly:
        model.steps_per_execution = steps_per_execution(problem.horizon, train.steps)
    try:
        _fit(model, problem, train, validation, judge, report)
        as_saved = _judge_by_weights(model, judge, train, validation)
    except Exception as error:
        if not _says_not_finite(error):
            raise
        return Outcome(stable=False, label="diverged", cost=(judge.steps + 1) / problem.horizon)
    assert judge.label is not None
    return Outcome(
        stable=judge.label == "stable",
        score=judge.score,
        label=judge.label,
        cost=judge.steps / problem.horizon,
        as_saved=as_saved,
    )


def _built(problem: "KerasProblem", learning_rate: float) -> keras.Model:
    model = problem.build_model(**{"learning_rate": learning_rate} if problem.takes_rate else {})
    if not isinstance(model, keras.Model):
        raise ProblemError(
            f"build_model returned {model!r:.60}: return the compiled keras.Model at its end"
        )
    if not model.compiled or model.optimizer is None:
        raise ProblemError(
            f"build_model returned a model ({model.name}) that is not compiled: "
            "call compile(...) in build_model"
        )
    if int(model.optimizer.iterations) > 0:
        raise ProblemError(
            f"build_model returned a model ({model.name}) that has been trained: "
            "build and compile a new one at each call"
        )
    if not problem.takes_rate:
        _set_rate(model.optimizer, learning_rate)
    return model


def _set_rate(optimizer: keras.optimizers.Optimizer, learning_rate: float) -> None:
    try:
        optimizer.learning_rate = learning_rate
    # Keras raises the first for a schedule, and the second for a function.
    except (TypeError, AttributeError):
        raise ProblemError(
            f"build_model: the optimizer ({optimizer.name}) has a schedule, so no learning rate "
            "can be set: make it build_model(learning_rate), which builds the schedule of it"
        ) from None


def steps_per_execution(horizon: int, epoch: int | None) -> int:
    """The best number of steps per call in a run of `horizon` steps.

    `epoch` is the number of steps in an epoch if data continue from one epoch to the next. It must
    then be a multiple of the steps per call, or a call would take steps of the next epoch too.
    """
    if horizon < SHORT_RUN:
        return 1
    if epoch is None:
        return STEPS_PER_EXECUTION
    return max(steps for steps in range(1, STEPS_PER_EXECUTION + 1) if epoch % steps == 0)


def _fit(
    model: keras.Model,
    problem: "KerasProblem",
    train: Feed,
    validation: Feed,
    judge: StabilityMonitor,
    report: Report,
) -> None:
    model.fit(
        train.x,
        epochs=problem.epochs,
        steps_per_epoch=train.steps,
        class_weight=problem.class_weight,
        validation_data=validation.together,
        validation_steps=validation.steps,
        # Validate once, at the end.
        validation_freq=problem.epochs,
        callbacks=[
            judge,
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: report(judge.steps)
            ),
        ],
        verbose=0,
        **{"shuffle": False} | train.others,
    )


def _judge_by_weights(
    model: keras.Model, judge: StabilityMonitor, train: Feed, validation: Feed
) -> float | None:
    """Recompute batch norm's averages and judge by the new score. Returns the former score."""
    monitor = judge.monitor or ""
    if not judge.finite or not monitor.startswith("val_") or not norms(model):
        return None
    as_saved = judge.score
    with kept(model):
        if retake_averages(model, train.inputs(REESTIMATION_BATCHES)):
            reported = model.evaluate(
                validation.x,
                steps=validation.steps,
                return_dict=True,
                verbose=0,
                **validation.others,
            )
            judge.judge(reported[monitor.removeprefix("val_")])
    return as_saved


def _says_not_finite(error: Exception) -> bool:
    told_by_tensorflow = type(error).__name__ == "InvalidArgumentError"
    return isinstance(error, ArithmeticError) or (
        told_by_tensorflow and NOT_FINITE.search(str(error)) is not None
    )
