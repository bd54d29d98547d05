"""How much faster more workers give an answer, on a simulated cluster in virtual time.

    python -m benchmarks.cluster --output reports/cluster.json --figure docs/figures/cluster.png

The executor, the drivers and the sampler are the real ones; no run computes anything. A training
takes 40 s, plus or minus a quarter; one training in fifty loses its worker.
"""

import math
import random
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import matplotlib.pyplot as plt
import optuna

from faults.cluster import answered_once
from faults.simulated_cluster import Faults, SimulatedWorkers
from lr_ceiling.execution.admission import Told
from lr_ceiling.execution.driver import Driver, opened
from lr_ceiling.execution.files import write_json
from lr_ceiling.execution.problem_trials import Parcel, ProblemTrials
from lr_ceiling.execution.remote import RemoteExecutor
from lr_ceiling.execution.runner import Runner, work
from lr_ceiling.problems.outcome import Outcome
from lr_ceiling.problems.problem import CallableProblem
from lr_ceiling.search.schedule import Question

# Seconds of a training, and the standard deviation of their logarithm.
SECONDS, SPREAD = 40.0, 0.25
TAKEN_AWAY = Faults(dies=0.02)
WANTED = Told("the driver", {})
LAGS = (1, 2, 4, 8, 16)
WORKERS = (1, 4, 16, 32, 64, 128, 256, 1000)
ARMS = 16


@dataclass(frozen=True)
class Search:
    """The search of one arm of a simulated network, whose edge follows from its `number`."""

    number: int
    lag: int

    def __call__(self, rate: float, seed: int) -> Outcome:
        """Stable with a probability that falls from .9 to .1 within .2 decades."""
        edge = -2.5 + 0.1 * self.number
        slope = 2 * math.log(9) / 0.2
        stable = random.Random(seed).random() < 1 / (
            1 + math.exp(slope * (math.log10(rate) - edge))
        )
        return Outcome(stable=stable, cost=1.0 if stable else 0.3)

    def trials(self) -> ProblemTrials:
        """The trials of this search."""
        question = Question(1e-4, 1.0, 0.3, 15, self.number, self.lag, confirmations=12)
        problem = CallableProblem(self, None, "max")
        return ProblemTrials(problem, question, Parcel.of(problem, None))


def searched(searches: Sequence[Search], workers: int, seed: int) -> dict[str, float]:
    """Search all arms at once. Gives the hours until the last answer, full runs and lost runs."""
    cluster = SimulatedWorkers(
        seed, workers, WANTED, {}, TAKEN_AWAY,
        lambda rng: SECONDS * rng.lognormvariate(0, SPREAD),
    )  # fmt: skip
    executor = RemoteExecutor(cluster, WANTED, say=lambda line: None)
    began = time.process_time()
    with ExitStack() as stack:
        drivers: dict[str, Driver] = {
            str(one.number): stack.enter_context(opened(None, one.trials())) for one in searches
        }
        runner = stack.enter_context(Runner(lambda: executor, workers, owned=False))
        work(runner, drivers, {})
        found = [result.outcome for driver in drivers.values() for result in driver.in_order]
    return {
        "seconds": cluster.now,
        "trials": len(found),
        "full_runs": sum(outcome.cost for outcome in found),
        "lost": cluster.happened["worker dies"],
        "driver_seconds_a_trial": (time.process_time() - began) / len(found),
    }


def median(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure, and the number of searches."""
    found = {name: round(statistics.median(row[name] for row in rows), 4) for name in rows[0]}
    return {**found, "n": len(rows)}


@click.command()
@click.option(
    "--searches", type=int, default=4, show_default=True, help="searches of one arm per lag"
)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--figure", type=click.Path(path_type=Path), required=True)
def main(searches: int, output: Path, figure: Path) -> None:
    """Simulate, write the results, and draw the figure."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows: dict[str, list[dict[str, Any]]] = {"one_arm": [], "many_arms": []}
    for lag in LAGS:
        # As many workers as may be used.
        found = [searched([Search(number, lag)], lag, number) for number in range(searches)]
        rows["one_arm"].append({"lag": lag, "workers": lag, **median(found)})
        print(rows["one_arm"][-1], flush=True)
    with answered_once():
        arms = [Search(number, 4) for number in range(ARMS)]
        for workers in WORKERS:
            told = searched(arms, workers, 0)
            # The sampler's time is in the first one alone.
            del told["driver_seconds_a_trial"]
            rows["many_arms"].append({"arms": ARMS, "lag": 4, "workers": workers, **told})
            print(rows["many_arms"][-1], flush=True)
    write_json(output, rows)
    draw(rows, figure)


def draw(rows: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Draw the wall time by the number of workers, and the cost of a larger lag."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, label in (
        ("many_arms", f"{ARMS} arms, lag 4"),
        ("one_arm", "one arm, lag = workers"),
    ):
        left.plot(
            [row["workers"] for row in rows[name]],
            [row["seconds"] / 60 for row in rows[name]],
            marker="o",
            label=label,
        )
    left.set(xscale="log", yscale="log", xlabel="workers", ylabel="minutes until the last answer")
    left.legend(frameon=False)
    right.plot(
        [row["lag"] for row in rows["one_arm"]],
        [row["full_runs"] for row in rows["one_arm"]],
        marker="o",
    )
    right.set(xscale="log", xlabel="lag, with as many workers", ylabel="full runs of one search")
    right.set_xticks(LAGS, map(str, LAGS))
    right.minorticks_off()
    right.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
