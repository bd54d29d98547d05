"""The overhead of a search and of a cell, for growing numbers of trials, steps, seeds and cells.

The loop, sampler, journal, facts and MLflow store are the real ones. An oracle replaces the
workers, and answers at once with results of the size of real ones.
"""

import contextlib
import math
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from benchmarks.places import ROOT
from benchmarks.post import CHECK_STEPS, EPOCH
from benchmarks.rows import Row, against_bar
from lr_ceiling import tracking
from lr_ceiling.evidence.study import ArmTrials, write_study
from lr_ceiling.execution.driver import opened, sampler_of
from lr_ceiling.execution.provenance import write_ended, write_study_facts
from lr_ceiling.execution.runner import Ended, Runner, work
from lr_ceiling.mnist.results import Check, Curve, RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import TrainingTask
from lr_ceiling.pipeline import params
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import NO_CALLS
from lr_ceiling.search.schedule import Question

# Overhead that a search may have, in percent of its trials' time.
BAR = 3.0
# Of `training`, which is not imported: it would bring TensorFlow into the driver.
BIN_STEPS = 25
# The oracle's arm: half of the seeds are stable here, and how fast that changes, in decades.
MIDDLE, SLOPE = 0.005, 0.15
# Where runs above the middle end, as dead ones do.
DEAD_STEPS = 600

T = TypeVar("T")


def endless_trials(epochs: int) -> ArmTrials:
    """The trials of a search that neither its budget nor its result ends."""
    values = params.load(ROOT / "params.yaml")
    template = RunSpec.of(
        values.training.model_copy(update={"epochs": epochs}),
        variant="baseline",
        activation="relu",
        learning_rate=0.001,
        seed=0,
        ended_by=("dead",),
        data_digest="0" * 16,
    )
    bounds = values.search.range["baseline"]
    question = Question(
        seed=values.search.seed,
        lag=values.search.lag,
        interval_decades=1e-6,
        budget=1e6,
        low=bounds.low,
        high=bounds.high,
    )
    return ArmTrials(template, question, NO_CALLS, Path("unused"))


class Stopwatch:
    """Adds up the seconds spent inside what it times."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def time(self, call: Callable[[], T]) -> T:
        """Make the call."""
        began = time.perf_counter()
        try:
            return call()
        finally:
            self.seconds += time.perf_counter() - began


class TimedSampler(BaseSampler):
    """A sampler whose calls are timed."""

    def __init__(self, sampler: BaseSampler, watch: Stopwatch) -> None:
        self._sampler = sampler
        self._watch = watch

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Ask the sampler."""
        return self._watch.time(lambda: self._sampler.infer_relative_search_space(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Ask the sampler."""
        return self._watch.time(lambda: self._sampler.sample_relative(study, trial, search_space))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Ask the sampler."""
        return self._watch.time(
            lambda: self._sampler.sample_independent(study, trial, param_name, param_distribution)
        )


class EnoughError(Exception):
    """The oracle has given all its answers."""


class Oracle:
    """Replaces a Runner: `answers` runs end at once, in the order of their submission."""

    # Always one more: what may start is the study's to say.
    free = 1

    def __init__(self, answers: int, watch: Stopwatch) -> None:
        self._left = answers
        self._watch = watch
        self._waiting: deque[TrainingTask] = deque()

    @property
    def busy(self) -> bool:
        """Whether any run is in progress."""
        return bool(self._waiting)

    def submit(self, task: TrainingTask, group: str = "") -> None:
        """Take a run."""
        self._waiting.append(task)

    def completed(self) -> Ended:
        """Give the result of the oldest run. Raises EnoughError if no answer is left."""
        if not self._left:
            raise EnoughError
        self._left -= 1
        task = self._waiting.popleft()
        return self._watch.time(lambda: Ended(task, answer(task.spec), time.time(), 1.0))


def answer(spec: RunSpec) -> RunResult:
    """A result of the size of a run of `spec`; its label follows a logistic law in log lr."""
    heat = (math.log10(spec.learning_rate) - math.log10(MIDDLE)) / SLOPE
    generator = np.random.default_rng(spec.seed)
    stable = generator.random() < 1 / (1 + math.exp(min(heat, 50)))
    label: Label = "stable" if stable else "dead"
    steps = spec.horizon if stable else min(DEAD_STEPS, spec.horizon)
    ends = tuple(range(BIN_STEPS, steps + 1, BIN_STEPS))
    values = tuple(generator.random(len(ends)).tolist())
    accuracy = 0.97 if stable else 0.1
    checks = {*range(CHECK_STEPS, steps + 1, CHECK_STEPS), *range(EPOCH, steps + 1, EPOCH), steps}
    return RunResult(
        spec=spec,
        label=label,
        called=None if stable else label,
        called_at=None if stable else steps,
        called_stable_at=None,
        steps=steps,
        parameters=93_322,
        steps_to_95=None,
        validation_accuracy=accuracy,
        reestimated_accuracy=None,
        test_accuracy=None,
        checks=tuple(
            Check(step=step, images=500, inference=accuracy, training=accuracy)
            for step in sorted(checks)
        ),
        curve=Curve(steps=ends, loss=values, loss_min=values, loss_max=values, accuracy=values),
    )


@dataclass(frozen=True)
class Cost:
    """Seconds that a search spent beside training, and the steps that its trials took."""

    sampler: float
    journal: float
    results: float
    tracking: float
    steps: int
    trials: int

    def percent(self, step_seconds: float) -> float:
        """Overhead in percent of the trials' time."""
        spent = self.sampler + self.journal + self.results + self.tracking
        return 100 * spent / (self.steps * step_seconds)


def search_cost(trials: int, epochs: int) -> Cost:
    """Search with the oracle: `trials` trials of at most `epochs` epochs."""
    trials_of_arm = endless_trials(epochs)
    aim = trials_of_arm.aim
    sampling, oracle, facts, whole = Stopwatch(), Stopwatch(), Stopwatch(), Stopwatch()
    with scratch_project() as folder:
        journal = folder / "state" / "search" / "oracle.journal"
        sampler = TimedSampler(sampler_of(aim), sampling)

        def on_ended(index: int, ended: Ended) -> None:
            facts.time(lambda: write_ended(ended.result.spec.key, ended))

        with opened(journal, trials_of_arm, on_ended, sampler) as driver:
            runner = cast(Runner, Oracle(trials, oracle))

            def search() -> None:
                with contextlib.suppress(EnoughError):
                    work(runner, {"oracle": driver}, {})

            whole.time(search)
        runs = [driver.results[index] for index in range(trials)]

        def write() -> dict[str, object]:
            found = write_study(folder, aim, runs, ["edge"] * len(runs))
            write_study_facts(aim.key, [run.spec.key for run in runs])
            return found.model_dump()

        results, mirror = Stopwatch(), Stopwatch()
        found = results.time(write)
        with tracking.open_store() as store:
            mirror.time(lambda: store.log_search("oracle", found, runs))
    return Cost(
        sampler=sampling.seconds,
        journal=whole.seconds - sampling.seconds - oracle.seconds - facts.seconds,
        results=results.seconds + facts.seconds,
        tracking=mirror.seconds,
        steps=sum(run.steps for run in runs),
        trials=len(runs),
    )


def cells_cost(cells: int, seeds: int, epochs: int, model: Path) -> Cost:
    """Write and log cells of the grid: `seeds` runs each, of `epochs` epochs, with their models."""
    results, mirror = Stopwatch(), Stopwatch()
    values = params.load(ROOT / "params.yaml")
    common = values.training.model_copy(update={"epochs": epochs})
    steps = 0
    with scratch_project() as folder, tracking.open_store() as store:
        models = folder / "models"
        models.mkdir()
        for seed in range(seeds):
            shutil.copyfile(model, models / f"seed-{seed}.keras")
        for cell in range(cells):
            runs = [
                answer(
                    RunSpec.of(
                        common,
                        variant="baseline",
                        activation="relu",
                        # Far below the oracle's middle: all are stable and run to their end.
                        learning_rate=1e-5 * (cell + 1),
                        seed=seed,
                        data_digest="0" * 16,
                    )
                )
                for seed in range(seeds)
            ]
            results.time(lambda: write_runs(folder / "runs.json", runs))  # noqa: B023
            for run in runs:
                ended = Ended(TrainingTask(run.spec, Path("unused")), run, time.time(), 1.0)
                results.time(lambda: write_ended(run.spec.key, ended))  # noqa: B023
            mirror.time(lambda: store.log_train(f"cell-{cell}", runs, models))  # noqa: B023
            steps += sum(run.steps for run in runs)
    return Cost(0.0, 0.0, results.seconds, mirror.seconds, steps, cells * seeds)


def measure_search(trials: int, epochs: int, repeats: int, step_seconds: float) -> Row:
    """The row of a study with this number of trials."""
    costs = [search_cost(trials, epochs) for _ in range(repeats)]
    return _row(f"{trials:,} trials, {epochs} epochs", costs, step_seconds)


def measure_cells(
    cells: int, seeds: int, epochs: int, model: Path, repeats: int, step_seconds: float
) -> Row:
    """The row of a grid with this number of cells."""
    costs = [cells_cost(cells, seeds, epochs, model) for _ in range(repeats)]
    return _row(f"{cells} cells x {seeds} seeds, {epochs} epochs", costs, step_seconds)


def _row(of: str, costs: list[Cost], step_seconds: float) -> Row:
    middle = sorted(costs, key=lambda cost: cost.percent(step_seconds))[len(costs) // 2]
    a_trial = 1000 / middle.trials
    return against_bar(
        "search-overhead",
        [cost.percent(step_seconds) for cost in costs],
        BAR,
        "%",
        of,
        ms_a_trial={
            "sampler": middle.sampler * a_trial,
            "journal": middle.journal * a_trial,
            "results": middle.results * a_trial,
            "tracking": middle.tracking * a_trial,
        },
        steps_a_trial=middle.steps / middle.trials,
    )


@contextlib.contextmanager
def scratch_project() -> Any:
    """A temporary folder to work in, with a fresh MLflow store."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        # Made and migrated beforehand: it is there once a project, not once a search.
        with tracking.open_store():
            pass
        yield Path(name)
