"""Summaries, paired differences and verdicts, on runs made by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from conftest import small_run
from lr_ceiling.comparison import (
    ceilings,
    mean_interval,
    more_accurate,
    spread,
    summarise_cell,
    verdict,
)

finite = st.floats(-1e6, 1e6)


def test_a_cell_is_summed_up_over_its_seeds() -> None:
    runs = [
        small_run(seed=0, label="stable", validation_accuracy=0.9, steps_to_95=400),
        small_run(seed=1, label="dead", validation_accuracy=0.1, steps_to_95=None),
    ]
    cell = summarise_cell(runs)
    assert cell["seeds"] == [0, 1]
    assert cell["labels"] == {"dead": 1, "stable": 1}
    assert cell["steps_to_95"] == [400, None]
    assert cell["validation_accuracy"] == {
        "mean": pytest.approx(0.5),
        "std": pytest.approx(math.sqrt(0.32)),
        "values": [0.9, 0.1],
    }


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    assert spread([0.5]) == {"mean": 0.5, "std": None, "values": [0.5]}
    assert spread([]) == {"mean": None, "std": None, "values": []}


def test_differences_are_paired_by_seed_not_by_place() -> None:
    baseline = [small_run(seed=seed, test_accuracy=0.1 * seed) for seed in (1, 2, 3)]
    batchnorm = [small_run(seed=seed, test_accuracy=0.1 * seed + 0.2) for seed in (3, 1, 2)]
    claim = more_accurate(baseline, batchnorm)
    assert claim["estimate"] == pytest.approx(0.2)
    assert claim["ci95"] == pytest.approx([0.2, 0.2])
    assert (claim["verdict"], claim["n"]) == ("supported", 3)
    assert claim["id"] == "more-accurate-relu-0.003"


def test_one_pair_is_inconclusive() -> None:
    claim = more_accurate([small_run(test_accuracy=0.1)], [small_run(test_accuracy=0.9)])
    assert (claim["verdict"], claim["ci95"]) == ("inconclusive", [None, None])


@given(st.lists(finite, min_size=2, max_size=8))
def test_the_interval_is_students(values: list[float]) -> None:
    low, high = mean_interval(values)
    peer = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    if math.isfinite(peer.low):
        assert low == pytest.approx(peer.low, rel=1e-6, abs=1e-6)
        assert high == pytest.approx(peer.high, rel=1e-6, abs=1e-6)


@given(st.tuples(finite, finite).map(sorted))
def test_a_verdict_needs_an_interval_clear_of_zero(interval: list[float]) -> None:
    low, high = interval
    words = {"supported": low > 0, "not supported": high < 0, "inconclusive": low <= 0 <= high}
    assert [word for word, holds in words.items() if holds] == [verdict((low, high))]


def test_ceilings_claim_no_interval() -> None:
    study = {
        "variant": "baseline",
        "activation": "relu",
        "optimizer": "adam",
        "target": 0.9,
        "horizon_steps": 20,
        "highest_stable": 0.01,
        "stopped": "budget",
        "trials": 3,
        "labels": {"stable": 3},
        "steps_spent": 60,
        "full_run_equivalents": 3.0,
        "called_early": 0,
    }
    found = ceilings([study, study | {"variant": "batchnorm"}])
    assert [arm["highest_stable"] for arm in found["arms"]] == [0.01, 0.01]
    assert found["arms"][0]["lr90"] == {"estimate": None, "ci95": [None, None]}
    assert [ratio["activation"] for ratio in found["ratios"]] == ["relu"]
