"""The critical learning rate of one arm, and the effect of biases before batch norm."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.theory_task import STEPS, ArmTheory, Finding, theory_specs
from lr_ceiling.execution.files import write_json
from lr_ceiling.execution.runner import work
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import print_table, quiet_option
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.rounding import short, significant


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--variant", required=True, help="baseline or batchnorm")
@click.option("--activation", required=True, help="relu, sigmoid, tanh, ...")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of findings")
@quiet_option
@one_line_errors
def main(splits: Path, variant: str, activation: str, output: Path, state: Path) -> None:
    """Compute the critical learning rate of one arm, over the seeds of the grid."""
    values = params.load()
    digest = splits_digest(splits)
    specs = theory_specs(values.training, variant, activation, values.train.seeds, digest)
    arm = ArmTheory(specs, splits, state)
    with workers(values.workers.processes) as runner:
        work(runner, {output.stem: arm}, {})
    write_json(output, report_of(specs, arm.findings))
    print_table(
        output.stem,
        ("critical learning rate", "median (least to most)"),
        [
            ("at initialisation", shown(known(one.initial for one in arm.findings))),
            (f"after {STEPS} steps", shown(known(one.trained for one in arm.findings))),
        ],
    )


def report_of(specs: Sequence[RunSpec], findings: Sequence[Finding]) -> dict[str, object]:
    """The arm's theory over its seeds, for the report."""
    spec = specs[0]
    found: dict[str, object] = {
        "variant": spec.variant,
        "activation": spec.activation,
        "optimizer": spec.optimizer,
        "seeds": [one.seed for one in specs],
        "initial": spread(known(one.initial for one in findings)),
        "trained": {
            **spread(known(one.trained for one in findings)),
            "steps": STEPS,
            "learning_rate": spec.learning_rate,
        },
    }
    effects = [
        (one.logit_difference, one.gradient_ratio)
        for one in findings
        if one.logit_difference is not None and one.gradient_ratio is not None
    ]
    return found | ({"bias": worst(effects)} if effects else {})


def known(rates: Iterable[float | None]) -> list[float]:
    """The critical rates that were found. A seed has none if no step raises the loss."""
    return [rate for rate in rates if rate]


def worst(effects: Sequence[tuple[float, float]]) -> Mapping[str, float]:
    """The largest effect of biases in any seed, to two digits; further digits are rounding."""
    difference, gradient = (significant(max(column), 2) for column in zip(*effects, strict=True))
    return {"logit_difference": difference, "gradient_ratio": gradient, "n": len(effects)}


def spread(rates: Sequence[float]) -> Mapping[str, object]:
    """Median, minimum and maximum to four digits, number of seeds with a rate, and each rate."""
    each = sorted(map(significant, rates))
    if not rates:
        return {"median": None, "least": None, "most": None, "n": 0, "rates": each}
    values = {"median": significant(statistics.median(rates)), "least": each[0], "most": each[-1]}
    return values | {"n": len(rates), "rates": each}


def shown(rates: Sequence[float]) -> str:
    """The same in words."""
    if not rates:
        return "none below 1e6"
    return (
        f"{short(statistics.median(rates), 3)} ({short(min(rates), 3)} to {short(max(rates), 3)})"
    )


if __name__ == "__main__":
    main()
