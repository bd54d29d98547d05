"""The critical learning rate of one arm, and what biases before batch norm change."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.files import write_json
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import PREPARED_BY
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import print_table, quiet_option
from lr_ceiling.rounding import short, significant

# Steps of training after which it is looked at again, and their learning rate: the post's smaller.
STEPS, RATE = 100, 0.001


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@quiet_option
@one_line_errors
def main(splits: Path, variant: str, activation: str, output: Path) -> None:
    """Find the critical learning rate of one arm, over the seeds that the grid is trained with."""
    values = params.load()
    # Says what is wrong with an arm before TensorFlow is imported.
    spec = RunSpec.of(
        values.training,
        variant=variant,
        activation=activation,
        learning_rate=RATE,
        seed=0,
        data_digest=splits_digest(splits),
    )
    seeds = values.train.seeds
    specs = [spec.model_copy(update={"seed": seed}) for seed in seeds]
    normalised = specs if spec.variant == "batchnorm" else []
    with local_executor(values.workers.processes, PREPARED_BY) as executor:
        rates = list(executor.map(critical_rates, specs, repeat(splits)))
        effects = list(executor.map(bias_effect, normalised, repeat(splits)))
    initial, later = ([rate for rate in column if rate] for column in zip(*rates, strict=True))
    found = {
        "variant": variant,
        "activation": activation,
        "optimizer": spec.optimizer,
        "seeds": list(seeds),
        "initial": spread(initial),
        "trained": {**spread(later), "steps": STEPS, "learning_rate": RATE},
    }
    if effects:
        found["bias"] = worst(effects)
    write_json(output, found)
    print_table(
        output.stem,
        ("critical learning rate", "median (least to most)"),
        [("at initialisation", shown(initial)), (f"after {STEPS} steps", shown(later))],
    )


def critical_rates(spec: RunSpec, splits: Path) -> tuple[float | None, float | None]:
    """What `theory.critical_rates` says, in a process that may import TensorFlow."""
    from lr_ceiling.evidence import theory

    return theory.critical_rates(spec, splits, STEPS)


def bias_effect(spec: RunSpec, splits: Path) -> tuple[float, float]:
    """What `theory.bias_effect` says, in a process that may import TensorFlow."""
    from lr_ceiling.evidence import theory

    return theory.bias_effect(spec, splits)


def worst(effects: Sequence[tuple[float, float]]) -> Mapping[str, float]:
    """The most that biases changed in any seed, to two digits: the others are rounding's."""
    difference, gradient = (significant(max(column), 2) for column in zip(*effects, strict=True))
    return {"logit_difference": difference, "gradient_ratio": gradient, "n": len(effects)}


def spread(rates: Sequence[float]) -> Mapping[str, object]:
    """Median, least and most, to four digits, and over how many seeds one was found."""
    if not rates:
        return {"median": None, "least": None, "most": None, "n": 0}
    values = {"median": statistics.median(rates), "least": min(rates), "most": max(rates)}
    return {name: significant(value) for name, value in values.items()} | {"n": len(rates)}


def shown(rates: Sequence[float]) -> str:
    """The same in words."""
    if not rates:
        return "none below 1e6"
    return (
        f"{short(statistics.median(rates), 3)} ({short(min(rates), 3)} to {short(max(rates), 3)})"
    )


if __name__ == "__main__":
    main()
