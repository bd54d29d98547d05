"""`lr-ceiling ceiling`: the answer in a line, from the report of the searches."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lr_ceiling.errors import ResultsError, one_line_errors
from lr_ceiling.runs import read_json

# The probability that a fresh seed is stable, by the name of the learning rate where it is that.
LEVELS = {"lr90": "90%", "lr50": "50%"}


@click.command()
@click.option("--variant", help="baseline or batchnorm; default: all")
@click.option("--activation", help="relu, sigmoid, ...; default: all")
@click.option(
    "--ceilings",
    type=click.Path(dir_okay=False, path_type=Path),
    default="reports/ceilings.json",
    show_default=True,
    help="written by `dvc repro report`",
)
@one_line_errors
def main(variant: str | None, activation: str | None, ceilings: Path) -> None:
    """Print the highest stable learning rates of the arms asked for, a line each.

    lr90 is the highest learning rate at which a fresh seed is stable with probability 0.9.
    """
    content = read_json(ceilings)
    asked = {"variant": variant, "activation": activation}
    try:
        arms = content["arms"]
        lines = [
            describe_arm(arm)
            for arm in arms
            if all(value in (None, arm[name]) for name, value in asked.items())
        ]
        known = ", ".join(f"{arm['variant']} {arm['activation']}" for arm in arms) or "nothing"
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(
            f"{ceilings} is not of this version ({error!r}): remove it and run `dvc repro`"
        ) from None
    if not lines:
        wanted = " ".join(value for value in asked.values() if value) or "anything"
        raise ResultsError(f"{ceilings} has {known}, not {wanted}: ask for what it has, or search")
    click.echo("\n".join(lines))


def describe_arm(arm: Mapping[str, Any]) -> str:
    """One line on an arm of `reports/ceilings.json`."""
    # A transition has a width wherever it was estimated, even if one of the levels is never met.
    measured = arm["transition_decades"] is not None or any(
        arm[name]["estimate"] is not None for name in LEVELS
    )
    found = ", ".join(_describe(name, arm[name], measured) for name in LEVELS)
    return (
        f"{arm['variant']} {arm['activation']}: {found}; {arm['trials']} trials, "
        f"{arm['full_run_equivalents']:.1f} full runs"
    )


def _describe(name: str, rate: Mapping[str, Any], measured: bool) -> str:
    estimate, (low, high) = rate["estimate"], rate["ci95"]
    if not measured:
        return f"{name} not measured"
    if estimate is None:
        return f"no {name}: no learning rate reaches {LEVELS[name]}"
    return f"{name} {estimate:.3g} (95% interval {_interval(low, high)})"


def _interval(low: float | None, high: float | None) -> str:
    if low is None:
        return "unbounded" if high is None else f"up to {high:.2g}"
    return f"{low:.2g} or more" if high is None else f"{low:.2g} to {high:.2g}"


if __name__ == "__main__":
    main()
