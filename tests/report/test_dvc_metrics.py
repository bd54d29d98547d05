"""The figures of `dvc metrics show`: numbers only, each where its name says."""

from conftest import arm_of, small_run
from lr_ceiling.evidence.comparison import summarise_cell
from lr_ceiling.evidence.records import Claim, Ratio
from lr_ceiling.report.dvc_metrics import metrics
from lr_ceiling.search.estimates import NOTHING, Estimate


def claim(name: str, estimate: float | None) -> Claim:
    return Claim(id=name, statement="", verdict="", statistic="", estimate=estimate,
                 ci95=(None, None), n=1)  # fmt: skip


def test_each_figure_is_where_its_name_says() -> None:
    runs = [small_run(validation_accuracy=0.8), small_run(seed=1, label="dead",
            validation_accuracy=0.1, test_accuracy=None)]  # fmt: skip
    times = Estimate(estimate=20.0, ci95=(5.0, 80.0))
    found = metrics(
        {"baseline-relu-0.003": summarise_cell(runs)},
        [arm_of(small_run()).model_copy(update={"lr50": NOTHING})],
        [Ratio(activation="relu", lr50=NOTHING, lr90=times, usable=times, exists=0.9)],
        [claim("known", 0.05), claim("unknown", None)],
    ).content()
    assert found == {
        "format": 3,
        "cells": {
            "baseline-relu-0.003": {
                "validation_accuracy": 0.45,
                "test_accuracy": 0.94,
                "stable_runs": 1,
            }
        },
        "arms": {
            "baseline-relu": {
                "lr50": None,
                "lr90": 0.01,
                "lr90_low": 0.005,
                "lr90_high": 0.02,
                "usable": 0.006,
                "usable_low": 0.003,
                "usable_high": 0.012,
                "full_run_equivalents": 1.25,
            }
        },
        "ratios": {
            "relu": {
                "lr90": 20.0,
                "lr90_low": 5.0,
                "lr90_high": 80.0,
                "usable": 20.0,
                "usable_low": 5.0,
                "usable_high": 80.0,
                "exists": 0.9,
            }
        },
        # DVC shows numbers alone.
        "claims": {"known": 0.05},
    }
