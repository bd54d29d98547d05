"""The overhead of `find_ceiling` beside the runs, and of Keras's own `fit` beside the engine.

`python -m benchmarks.find` measures the ceiling of the post's network with KerasProblem (a quarter
of an hour on two cores), and compares it with the engine's in reports/ceilings.json.
"""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.places import ROOT, SPLITS
from benchmarks.post import EPOCH
from benchmarks.rows import Row, against_bar, against_peer
from lr_ceiling import KerasProblem, find_ceiling
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.problem_trials import Parcel, ProblemTask
from lr_ceiling.execution.progress import Watch
from lr_ceiling.execution.runner import Ended, Runner
from lr_ceiling.mnist.dataset import SplitName, read_split, splits_digest
from lr_ceiling.mnist.specification import RunSpec, Variant
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from lr_ceiling.report.schemas import CeilingsReport
from lr_ceiling.search.posterior import Observation

# Milliseconds that the library may take for a trial.
BAR = 50.0
# A trial's cost is told for studies of so many trials; it is the median of the last ones of these.
TRIALS = (1, 100, 1000)
LAST = 20
TARGET = 0.9


class Clock(Watch):
    """Stores the time at which each trial ended."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def begun(self, *search: object) -> None:
        """Store the time at which the first trial may start."""
        self.times.append(time.perf_counter())

    def ended(self, index: int, ended: Ended, seen: Observation) -> None:
        """Store the time of this end."""
        self.times.append(time.perf_counter())


def instant(learning_rate: float, seed: int) -> bool:
    """A run that takes no time; half of the seeds are stable at 0.01.

    One run in four fails at every learning rate, so there is no lr90, and only the budget ends the
    search.
    """
    luck = np.random.default_rng(seed)
    return bool(luck.random() > 0.25 and luck.normal() * 0.15 > np.log10(learning_rate) + 2)


def milliseconds(trials: int) -> list[float]:
    """Milliseconds of each trial, in a search with a journal and this number of trials."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as executor:
        find_ceiling(
            instant,
            low=1e-4,
            high=1.0,
            budget=trials,
            interval=1e-6,
            confirmations=0,
            usable=False,
            executor=executor,
            workers=1,
            storage=Path(folder) / "study.journal",
            progress=clock,
        )
    taken: list[float] = (1000 * np.diff(clock.times)).tolist()
    if len(taken) != trials:
        raise click.ClickException(f"the search ended after {len(taken)} of {trials} trials")
    return taken


def measure_overhead(repeats: int) -> list[Row]:
    """The overhead of a trial, for several sizes of the study."""
    # The grid of curves is made once a process.
    milliseconds(1)
    taken = [milliseconds(TRIALS[-1]) for _ in range(repeats)]
    return [
        against_bar(
            "find-overhead",
            [float(np.median(one[max(0, trials - LAST) : trials])) for one in taken],
            BAR,
            "ms",
            of=f"trial {trials:,}",
        )
        for trials in TRIALS
    ]


def measure_keras(repeats: int) -> list[Row]:
    """Seconds from the start of a run of one epoch of the post's network to its score."""
    digest = splits_digest(SPLITS)
    rows = []
    for variant in ("baseline", "batchnorm"):
        problem = post_problem(variant, epochs=1)
        with tempfile.TemporaryDirectory() as folder:
            parcel = Parcel.of(problem, Path(folder))
            keras = [ProblemTask(parcel, 0.001, seed) for seed in range(repeats + 1)]
            ours = [
                TrainingTask(_spec(variant, seed, digest), SPLITS) for seed in range(repeats + 1)
            ]
            with (
                Runner(lambda: local_executor(1, PREPARED_BY), 1) as engine,
                Runner(lambda: local_executor(1, KerasProblem.prepared_by), 1) as fit,
            ):
                # The first of each imports, traces and reads the data.
                pairs = [
                    (engine.execute([one])[0].seconds, fit.execute([other])[0].seconds)
                    for one, other in zip(ours, keras, strict=True)
                ][1:]
        mine, theirs = zip(*pairs, strict=True)
        rows.append(
            against_peer("keras-problem", mine, theirs, "KerasProblem", "s", of=f"{variant}, relu")
        )
    return rows


@dataclass(frozen=True)
class PostNetwork:
    """Builds the post's network, compiled."""

    variant: Variant

    def __call__(self) -> Any:
        """Build it."""
        from lr_ceiling.mnist import network

        # The kernels follow from Keras's own generator, which has the run's seed.
        model = network.build(self.variant, "relu", int(np.random.randint(2**31)))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model


def post_problem(variant: Variant, epochs: int) -> KerasProblem:
    """The post's network as a KerasProblem, in the way that a user would write it."""
    x, y = _arrays("train")
    return KerasProblem(
        PostNetwork(variant),
        x,
        y,
        validation_data=_arrays("validation"),
        epochs=epochs,
        batch_size=32,
        steps_per_epoch=EPOCH,
        target=TARGET,
    )


def _arrays(split: SplitName) -> tuple[Any, Any]:
    arrays = read_split(SPLITS, split)
    return arrays.images[..., np.newaxis] / np.float32(255), arrays.labels.astype(np.int32)


def _spec(variant: Variant, seed: int, digest: str) -> RunSpec:
    return RunSpec(
        variant=variant,
        activation="relu",
        learning_rate=0.001,
        seed=seed,
        optimizer="adam",
        batch_size=32,
        epochs=1,
        steps_per_epoch=EPOCH,
        target_accuracy=TARGET,
        data_digest=digest,
    )


@click.command()
@click.option("--epochs", default=3, show_default=True)
@click.option(
    "--storage", type=click.Path(path_type=Path), help="journal of the trials, to continue later"
)
def main(epochs: int, storage: Path | None) -> None:
    """Measure the ceiling of the baseline with relu with KerasProblem."""
    began = time.perf_counter()
    ceiling = find_ceiling(post_problem("baseline", epochs), low=1e-4, high=1.0, storage=storage)
    click.echo(ceiling.trials.to_string())
    click.echo(f"KerasProblem: {ceiling}; {time.perf_counter() - began:.0f} s")
    for arm in CeilingsReport.read(ROOT / "reports" / "ceilings.json").arms:
        if (arm.variant, arm.activation) == ("baseline", "relu"):
            click.echo(f"the engine:   trains up to {arm.lr90.in_words(digits=3)}")


if __name__ == "__main__":
    main()
