"""The tables that `dvc plots` draws."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from lr_ceiling.evidence.comparison import mean_by_step, validation_curve
from lr_ceiling.mnist.specification import Variant
from lr_ceiling.report.findings import Findings, Runs, Search, name_of


def tables(found: Findings) -> dict[str, str]:
    """The tables as CSV, by folder and name.

    `curves` has a table a pair, `probability` and `trials` a table an arm. DVC's axes are linear,
    so the learning rate is there as its decimal logarithm.
    """
    made = {f"curves/{name}": curves(pair) for name, pair in found.pairs.items()}
    for arm, search in found.searches.items():
        made[f"probability/{name_of(arm)}"] = probability(search)
        made[f"trials/{name_of(arm)}"] = trials(search)
    return {name: table.to_csv(index=False, lineterminator="\n") for name, table in made.items()}


def curves(pair: Mapping[Variant, Runs]) -> pd.DataFrame:
    """The mean validation accuracy of each variant by step."""
    columns = {
        variant: mean_by_step([validation_curve(run) for run in runs])
        for variant, runs in pair.items()
    }
    return pd.DataFrame(columns).sort_index().rename_axis("step").reset_index()


def probability(search: Search) -> pd.DataFrame:
    """P(stable) by learning rate, with its band."""
    belief = search.belief
    return pd.DataFrame(
        {
            "log10_learning_rate": _log10(belief.learning_rates),
            "probability": belief.probability,
            "low": belief.low,
            "high": belief.high,
        }
    )


def trials(search: Search) -> pd.DataFrame:
    """Every trial, in order."""
    return pd.DataFrame(
        {
            "log10_learning_rate": _log10(run.spec.learning_rate for run in search.trials),
            "validation_accuracy": [run.validation_accuracy for run in search.trials],
            "label": [run.label for run in search.trials],
        }
    )


def _log10(rates: Iterable[float]) -> list[float]:
    return [float(log) for log in np.log10(list(rates)).round(4)]
