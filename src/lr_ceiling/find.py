"""`find_ceiling`: measures the highest stable learning rate of a problem, with an interval."""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from lr_ceiling.errors import ParamsError, ProblemError, WorkerError
from lr_ceiling.execution.admission import Versioned
from lr_ceiling.execution.driver import Driver, Trials, opened
from lr_ceiling.execution.executor import cores, local_executor
from lr_ceiling.execution.problem_trials import Parcel, ProblemTrials
from lr_ceiling.execution.progress import GROUP, SearchProgress, Watch, error_console
from lr_ceiling.execution.remote import Cluster, Files, Needs, RemoteExecutor
from lr_ceiling.execution.runner import Ended, Runner, work
from lr_ceiling.execution.scratch import Scratch
from lr_ceiling.problems.devices import gpus
from lr_ceiling.problems.environment import TRAINING
from lr_ceiling.problems.outcome import Mode, Run
from lr_ceiling.problems.problem import CallableProblem, Problem, is_a
from lr_ceiling.rounding import short
from lr_ceiling.search.ceiling import BETTER, SAME_ARITHMETIC, Asked, Ceiling
from lr_ceiling.search.schedule import Question

# Runs that search for the usable rate, and the loss of score that is still allowed there.
USABLE_RUNS, LOSS = 6, 0.01
# Trials may go two decades beyond these limits, and a float must still hold those numbers.
LEAST, MOST = 1e-300, 1e300


@runtime_checkable
class OwnTrials(Protocol):
    """A problem that makes its own trials, such as trials that share runs with other studies."""

    @property
    def prepared_by(self) -> str | None:
        """The module that prepares a worker process; see Problem."""

    def trials(self, question: Question) -> Trials:
        """The trials of the study that answers this question."""


def find_ceiling(
    problem: Problem | OwnTrials | Callable[[float, int], Any],
    *,
    low: float,
    high: float,
    target: float | None = None,
    mode: Mode = "max",
    budget: float = 15,
    interval: float = 0.3,
    confirmations: int = 12,
    usable: bool | int = True,
    loss: float | None = None,
    seed: int = 0,
    lag: int = 4,
    executor: Executor | Cluster | None = None,
    workers: int | None = None,
    storage: str | Path | None = None,
    progress: bool | Watch = True,
) -> Ceiling:
    """Measure the highest learning rate at which a network still trains.

    `problem` is a KerasProblem or any callable `run(learning_rate, seed)`. The callable returns a
    bool (whether the run was stable), a score that is compared with `target`, or an Outcome. A run
    fails if it returns NaN or inf, or raises an ArithmeticError.

    If a run's result depends only on its learning rate and seed, the same arguments give the same
    trials and the same answer, for any number of workers and after any interruption.

    Args:
        problem: the problem, which defines one run. It is sent to other processes by cloudpickle,
            so it may be defined in a notebook, and may be a lambda.
        low: the lowest learning rate at which the ceiling is expected.
        high: the highest one. Trials go up to two decades beyond both if the results ask for it.
        target: a run is stable if its score reaches this value, in units of the score.
        mode: "max" if higher scores are better, "min" if lower scores are better.
        budget: the maximum number of full runs that the search for lr90 may spend.
        interval: the search for lr90 ends earlier once its 95% interval is at most this wide, in
            decades.
        confirmations: the maximum number of fresh seeds that are then run at the lower limit of
            lr90, to test whether an lr90 exists.
        usable: whether runs below the edge then search for the usable rate. A number is the maximum
            number of these runs; True means six. The problem must return scores.
        loss: the loss of score that is allowed at the usable rate, in units of the score: 0.01 by
            default if `mode` is "max". There is no default for "min".
        seed: the seed from which all learning rates and seeds of the runs are derived.
        lag: how many runs may be in progress at once. A larger lag costs a few more runs.
        executor: where the runs execute. With a Dask `Client`, its `get_executor()`, or a
            `DaskCluster`, each worker gets the problem and its data once. With any other
            `concurrent.futures.Executor`, even one of threads, the problem is pickled with each
            task, and the executor stays open. By default the runs execute in local processes,
            which get the problem once and live as long as the search. Their environment is that
            of the program at its first search.
        workers: how many runs execute at once, at most `lag`. The default is one per core, or one
            per GPU if the problem uses GPUs.
        storage: the path of a journal. A killed search continues from its journal, and a finished
            search is not run again. By default the search is kept in memory, and Ctrl-C loses it.
        progress: True shows progress on stderr, False shows none; a Watch gets each event.

    Returns:
        The Ceiling: `lr90`, `lr50` and `usable` with intervals, `exists`, `reason`, `trials`,
            `plot()`.

    Raises:
        ParamsError: an argument is impossible.
        ProblemError: a run raised another exception than an ArithmeticError, or returned a value
            that can't be judged. Finished runs are kept in `storage`.
        StudyError: `storage` holds a search with other arguments, another `version` of the
            problem, or other libraries.
        LockedError: another search has `storage` open.
        WorkerError: a run ended its process three times, no process can start, or no worker of a
            cluster is left. Finished runs are kept in `storage`.

    Examples:
        The true lr90 of this toy problem is 0.077:

        >>> import random
        >>> def run(learning_rate, seed):
        ...     return learning_rate < 0.1 * random.Random(seed).lognormvariate(0, 0.2)
        >>> ceiling = find_ceiling(run, low=1e-3, high=10, progress=False)
        >>> print(ceiling)
        trains up to 0.0825 (0.0445 to 0.0944); 19 trials
    """
    cluster = _cluster(executor)
    _check_places(None if cluster else executor, workers)
    known = _known(problem, target, mode)
    direction = known.better if isinstance(known, Problem) else "max"
    allowed = _loss(loss, direction)
    runs = _usable_runs(usable) if allowed is not None else 0
    question = _question(low, high, interval, budget, seed, lag)
    question = replace(
        question,
        confirmations=_at_least(0, "confirmations", confirmations),
        usable_runs=runs,
        usable_loss=allowed,
    )
    path = None if storage is None else Path(storage)
    parcel = None
    with contextlib.ExitStack() as stack:
        if isinstance(known, OwnTrials):
            trials = known.trials(question)
        else:
            folder = stack.enter_context(Scratch())
            # Other executors may be on other machines. A cluster copies files there.
            carried = executor is None or cluster is not None
            parcel = Parcel.of(known, Path(folder) if carried else None)
            trials = ProblemTrials(known, question, parcel)
        watch = stack.enter_context(_watch(progress))
        driver = stack.enter_context(opened(path, trials, _told(watch, trials)))
        if direction == "min" and BETTER not in driver.study.user_attrs:
            driver.study.set_user_attr(BETTER, direction)
        before = [trials.observe(result) for result in driver.results.values()]
        watch.begun(trials.aim, trials.horizon, before)
        try:
            places = _places(stack, executor, cluster, known, parcel, driver)
            runner = stack.enter_context(_runner(known, places, workers, question.lag, watch.steps))
            work(runner, {GROUP: driver}, {})
        except ProblemError as error:
            raise ProblemError(f"{error}{_kept(driver, path)}") from error
        except WorkerError as error:
            on = f"{_kept(driver, path)}: the same call continues from there" if path else ""
            raise type(error)(f"{error}{on}") from error
        seen = [trials.observe(result) for result in driver.in_order]
        aim = trials.aim
        return Ceiling(
            driver.study, aim.bounds, seen, aim.calls, driver.in_order, driver.parts,
            Asked(allowed, direction) if runs and allowed is not None else None,
        )  # fmt: skip


def _known(
    problem: Problem | OwnTrials | Callable[[float, int], Any], target: float | None, mode: Mode
) -> Problem | OwnTrials:
    if mode not in ("max", "min"):
        raise ParamsError(f"mode is {mode!r}: it must be 'max' or 'min'")
    if isinstance(problem, Problem | OwnTrials):
        if target is not None:
            raise ParamsError(f"target is {target}: this problem has a target of its own")
        if mode != "max":
            raise ParamsError(f"mode is {mode!r}: this problem has a mode of its own")
        return problem
    if is_a(problem, "keras", "Model"):
        raise ParamsError(
            "the problem is a Keras model, and each run needs a fresh one: give "
            "KerasProblem(build_model, x, y, ...) with a function that builds it"
        )
    # A class is callable too, but its instances are not results.
    if isinstance(problem, type) or not callable(problem):
        kind = f"class {problem.__name__}" if isinstance(problem, type) else type(problem).__name__
        raise ParamsError(
            f"the problem is a {kind}: give a KerasProblem, or a function of a learning rate and a "
            "seed"
        )
    return CallableProblem(problem, None if target is None else _finite("target", target), mode)


def _cluster(executor: Executor | Cluster | None) -> Cluster | None:
    """The executor as a cluster; None if it is no cluster."""
    if isinstance(executor, Cluster):
        return executor
    if is_a(executor, "distributed", "Client") or is_a(executor, "distributed", "ClientExecutor"):
        # Imported here because it imports distributed.
        from lr_ceiling.execution.cluster import cluster_of

        return cluster_of(executor)
    return None


def _places(
    stack: contextlib.ExitStack,
    executor: Executor | Cluster | None,
    cluster: Cluster | None,
    known: Problem | OwnTrials,
    parcel: Parcel | None,
    driver: Driver,
) -> Executor | None:
    """The executor of the runs: the given one, or one on the cluster's prepared workers."""
    if cluster is not None:
        if not isinstance(known, Problem) or parcel is None or parcel.path is None:
            raise ParamsError(
                f"executor is a cluster, which can't bring the files of {type(known).__name__} to "
                "its workers: give another Executor"
            )
        executor = stack.enter_context(cluster.opened(_needs(known, parcel.path, parcel.digest)))
    if isinstance(executor, RemoteExecutor):
        executor.on_other_arithmetic = lambda: driver.study.set_user_attr(SAME_ARITHMETIC, False)
    return executor if isinstance(executor, Executor) else None


def _needs(problem: Problem, path: Path, digest: str) -> Needs:
    trained = problem.prepared_by is not None and "keras" in problem.libraries
    return Needs(
        Versioned(problem.libraries),
        Files({path: digest}),
        problem.prepared_by,
        {**os.environ, **(TRAINING if trained else {})},
        one_thread=trained,
    )


def _kept(driver: Driver, path: Path | None) -> str:
    count = len(driver.results)
    return f"; {count} finished run{'s' * (count != 1)} kept in {path}" if path else ""


def _runner(
    problem: Problem | OwnTrials,
    executor: Executor | None,
    workers: int | None,
    lag: int,
    on_steps: Callable[[Mapping[str, int]], None],
) -> Runner:
    if executor is not None:
        return Runner(lambda: executor, min(workers or lag, lag), on_steps, owned=False)
    devices = gpus() if isinstance(problem, Problem) and problem.uses_gpus else []
    count = min(workers or len(devices) or cores(), lag)
    return Runner(lambda: local_executor(count, problem.prepared_by, devices), count, on_steps)


def _watch(progress: bool | Watch) -> Watch:
    if isinstance(progress, Watch):
        return progress
    if not progress:
        return Watch()
    return SearchProgress(GROUP, error_console(), _in_words)


def _told(watch: Watch, trials: Trials) -> Callable[[int, Ended], None]:
    return lambda index, ended: watch.ended(index, ended, trials.observe(ended.result))


def _in_words(run: Run) -> str:
    score = run.outcome.score
    told = f"lr {short(run.learning_rate, 4)} is {run.outcome.label}"
    return told if score is None else f"{told} ({score:.4g})"


def _question(
    low: float, high: float, interval: float, budget: float, seed: int, lag: int
) -> Question:
    """The question with its numbers as floats and ints, so that 1 and 1.0 give the same study."""
    low, high = _finite("low", low), _finite("high", high)
    if not LEAST <= low < high <= MOST:
        raise ParamsError(
            f"low is {low:g} and high is {high:g}: they must be {LEAST:g} <= low < high <= {MOST:g}"
        )
    budget, interval = _finite("budget", budget), _finite("interval", interval)
    if budget < 1:
        raise ParamsError(f"budget is {budget:g}: it must be at least 1 full run")
    if interval <= 0:
        raise ParamsError(f"interval is {interval:g}: it must be above 0 decades")
    return Question(low, high, interval, budget, _whole("seed", seed), _positive("lag", lag))


def _check_places(executor: Executor | Cluster | None, workers: int | None) -> None:
    if workers is not None:
        _positive("workers", workers)
    if executor is not None and not isinstance(executor, Executor):
        raise ParamsError(
            f"executor is a {type(executor).__name__}: give a concurrent.futures.Executor, a Dask "
            "Client, or a DaskCluster"
        )


def _finite(name: str, value: float) -> float:
    if not isinstance(value, Real) or not math.isfinite(value):
        raise ParamsError(f"{name} is {value!r}: it must be a finite number")
    return float(value)


def _whole(name: str, value: int) -> int:
    if not isinstance(value, Integral):
        raise ParamsError(f"{name} is {value!r}: it must be a whole number")
    return int(value)


def _positive(name: str, value: int) -> int:
    return _at_least(1, name, value)


def _at_least(least: int, name: str, value: int) -> int:
    if _whole(name, value) < least:
        raise ParamsError(f"{name} is {value}: it must be at least {least}")
    return int(value)


def _usable_runs(usable: bool | int) -> int:
    if isinstance(usable, bool):
        return USABLE_RUNS if usable else 0
    return _at_least(0, "usable", usable)


def _loss(loss: float | None, mode: Mode) -> float | None:
    """The allowed loss of score; None if it has no default and none was given."""
    if loss is None:
        return LOSS if mode == "max" else None
    if _finite("loss", loss) <= 0:
        raise ParamsError(f"loss is {loss:g}: it must be above 0, in units of the score")
    return float(loss)
