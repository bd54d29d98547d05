"""The tables of `dvc plots`."""

import io

import pandas as pd
import pytest

from lr_ceiling.report.dvc_plots import tables
from lr_ceiling.report.findings import Findings


def read(found: Findings, name: str) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(tables(found)[name]))


def test_there_is_a_table_a_pair_and_two_an_arm(findings: Findings) -> None:
    assert sorted(tables(findings)) == [
        "curves/relu-0.01", "curves/relu-1",
        "probability/baseline-relu", "probability/batchnorm-relu",
        "trials/baseline-relu", "trials/batchnorm-relu",
    ]  # fmt: skip


def test_curves_have_a_column_a_variant(findings: Findings) -> None:
    curves = read(findings, "curves/relu-0.01")
    assert list(curves.columns) == ["step", "baseline", "batchnorm"]
    assert list(curves["step"]) == [5, 10, 15, 20]
    assert list(curves["baseline"]) == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_the_probability_has_its_band_over_the_logarithm(findings: Findings) -> None:
    band = read(findings, "probability/batchnorm-relu")
    assert list(band["log10_learning_rate"]) == [-3, -2, -1]
    assert (band["low"] <= band["probability"]).all()
    assert (band["probability"] <= band["high"]).all()


def test_every_trial_has_its_row_in_order(findings: Findings) -> None:
    trials = read(findings, "trials/baseline-relu")
    assert list(trials["log10_learning_rate"]) == [-2, -2, -2, -1]
    assert list(trials["label"]) == ["stable"] * 3 + ["dead"]
