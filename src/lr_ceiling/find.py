"""A problem in, a ceiling out: how far the learning rate can be turned up, and how sure that is."""

import contextlib
import math
import os
import tempfile
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
from lr_ceiling.problems.devices import gpus
from lr_ceiling.problems.environment import TRAINING
from lr_ceiling.problems.outcome import Mode, Run
from lr_ceiling.problems.problem import CallableProblem, Problem, is_a
from lr_ceiling.rounding import short
from lr_ceiling.search.ceiling import BETTER, SAME_ARITHMETIC, Asked, Ceiling
from lr_ceiling.search.schedule import Question

# Runs that look up to where no accuracy is lost, and how much of a score counts as none.
USABLE_RUNS, LOSS = 6, 0.01
# Two decades beyond them still are numbers that a float holds.
LEAST, MOST = 1e-300, 1e300


@runtime_checkable
class OwnTrials(Protocol):
    """A problem whose trials are more than its runs with learning rates and seeds."""

    @property
    def prepared_by(self) -> str | None:
        """As a Problem's."""

    def trials(self, question: Question) -> Trials:
        """The trials of its study."""


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

    `problem` is a KerasProblem or any callable `run(learning_rate, seed)` that returns a bool
    (whether the run was stable), a score that is held against `target`, or an Outcome. NaN, inf
    and an ArithmeticError are failed runs.

    The same arguments give the same trials and the same answer, for any number of workers and
    after any interruption, if a run is decided by its learning rate and its seed.

    Args:
        problem: what one run is. It is sent to other processes by cloudpickle, so it may be
            defined in a notebook, and may be a lambda.
        low: the lowest learning rate at which the ceiling is expected.
        high: the highest one. Trials go up to two decades beyond both if the results ask for it.
        target: the score from which on a run is stable, in units of the score.
        mode: "max" if higher scores are better, "min" if lower ones are.
        budget: full runs that the search for lr90 may spend at most.
        interval: it ends earlier if the 95% interval of lr90 is so many decades wide.
        confirmations: how many fresh seeds, at most, then tell at lr90's lower limit whether there
            is an lr90.
        usable: whether runs below the edge then look up to where no accuracy is lost, and how many
            they may be; True is six. They need scores.
        loss: how much of the best score may be lost there, in units of the score; 0.01 if `mode`
            is "max". There is no default for "min".
        seed: learning rates and seeds of the runs follow from it.
        lag: how many runs may be under way at once; more cost a few runs.
        executor: where the runs execute. A Dask `Client`, its `get_executor()`, or a `DaskCluster`:
            each worker gets the problem, with its data, once. Or any other
            `concurrent.futures.Executor`, which stays open: the problem is pickled with each task,
            for threads too. By default processes of this machine, which get it once and live as
            long as the search; their environment is the one at the first search of the program.
        workers: how many runs execute at once, `lag` at most; by default one a core, or one a GPU
            where the problem uses them.
        storage: the path of a journal. A search that was killed goes on from it, and one that has
            ended is not run again. By default the search is kept in memory, and Ctrl-C loses it.
        progress: whether to show progress on stderr, or a Watch that is told of it.

    Returns:
        The Ceiling: `lr90`, `lr50` and `usable` with intervals, `exists`, `reason`, `trials`,
        `plot()`.

    Raises:
        ParamsError: an argument is impossible.
        ProblemError: a run raised an exception that is none of the arithmetic, or returned what
            can't be judged. What had ended is kept in `storage`.
        StudyError: `storage` holds a search of other arguments, another `version` of the problem,
            or other libraries.
        LockedError: another search has `storage` open.
        WorkerError: a run ended its process three times, no process can start, or no worker of a
            cluster is left. What had ended is kept in `storage`.
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
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lr-ceiling-"))
            # Other executors may run elsewhere; a cluster brings files there.
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
            on = f"{_kept(driver, path)}: the same call goes on from there" if path else ""
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
    # A class is called as well, and what it makes is no result.
    if isinstance(problem, type) or not callable(problem):
        kind = f"class {problem.__name__}" if isinstance(problem, type) else type(problem).__name__
        raise ParamsError(
            f"the problem is a {kind}: give a KerasProblem, or a function of a learning rate and a "
            "seed"
        )
    return CallableProblem(problem, None if target is None else _finite("target", target), mode)


def _cluster(executor: Executor | Cluster | None) -> Cluster | None:
    """The cluster that an executor is, if it is one."""
    if isinstance(executor, Cluster):
        return executor
    if is_a(executor, "distributed", "Client") or is_a(executor, "distributed", "ClientExecutor"):
        # Late, since it imports distributed.
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
    """Where runs execute: the executor that was given, or one on workers that are made ready."""
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
    return f"; {count} run{'s' * (count != 1)} that ended: kept in {path}" if path else ""


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
    """The question, with plain numbers: 1 and 1.0 are the same one."""
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
    """How much of the score may be lost; None where nobody said."""
    if loss is None:
        return LOSS if mode == "max" else None
    if _finite("loss", loss) <= 0:
        raise ParamsError(f"loss is {loss:g}: it must be above 0, in units of the score")
    return float(loss)
