"""Summaries, paired differences and verdicts, on runs made by hand."""

import math
import statistics

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from conftest import small_run
from lr_ceiling.evidence.comparison import (
    around,
    conditions_of,
    gap,
    mean_by_step,
    mean_interval,
    more_accurate,
    spread,
    summarise_cell,
    training_curve,
    verdict,
)
from lr_ceiling.evidence.records import Spread
from lr_ceiling.mnist.specification import RunSpec

SHARED = {"epochs": 2, "steps_per_epoch": 21, "batch_size": 16, "optimizer": "sgd",
          "target_accuracy": 0.8, "data_digest": "1" * 16}  # fmt: skip
OF_ONE = {"variant": "batchnorm", "activation": "tanh", "learning_rate": 0.5, "seed": 7,
          "init_scale": 2.0, "ended_by": ("dead",)}  # fmt: skip
finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(("name", "value"), [*SHARED.items(), *OF_ONE.items()])
def test_conditions_are_what_runs_share(name: str, value: object) -> None:
    changed = conditions_of(small_run(**{name: value}).spec) != conditions_of(small_run().spec)
    assert changed == (name in SHARED)
    assert SHARED.keys() | OF_ONE.keys() == RunSpec.model_fields.keys()


def test_runs_of_other_code_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    before = conditions_of(small_run().spec)
    monkeypatch.setattr("lr_ceiling.evidence.comparison.engine_digest", lambda: "another")
    assert conditions_of(small_run().spec) != before


def test_a_cell_is_summed_up_over_its_seeds() -> None:
    runs = [
        small_run(seed=0, label="stable", validation_accuracy=0.9, steps_to_95=400),
        small_run(seed=1, label="dead", validation_accuracy=0.1, steps_to_95=None),
    ]
    cell = summarise_cell(runs)
    assert cell.seeds == (0, 1)
    assert cell.labels == {"dead": 1, "stable": 1}
    assert cell.steps_to_95 == (400, None)
    assert cell.validation_accuracy.model_dump() == {
        "mean": pytest.approx(0.5),
        "std": pytest.approx(math.sqrt(0.32)),
        "values": (0.9, 0.1),
    }


def test_one_value_has_no_spread_and_none_no_mean() -> None:
    assert spread([0.5]) == Spread(mean=0.5, std=None, values=(0.5,))
    assert spread([]) == Spread(mean=None, std=None, values=())


def test_differences_are_paired_by_seed_not_by_place() -> None:
    baseline = [small_run(seed=seed, test_accuracy=0.1 * seed) for seed in (1, 2, 3)]
    batchnorm = [small_run(seed=seed, test_accuracy=0.1 * seed + 0.2) for seed in (3, 1, 2)]
    claim = more_accurate("relu-0.003", baseline, batchnorm)
    assert claim.estimate == pytest.approx(0.2)
    assert claim.ci95 == pytest.approx((0.2, 0.2))
    assert (claim.verdict, claim.n) == ("supported", 3)
    assert claim.id == "more-accurate-relu-0.003"


def test_one_pair_is_inconclusive() -> None:
    claim = more_accurate("x", [small_run(test_accuracy=0.1)], [small_run(test_accuracy=0.9)])
    assert (claim.verdict, claim.ci95) == ("inconclusive", (None, None))


@pytest.mark.filterwarnings("error")
@given(st.lists(finite, min_size=2, max_size=8))
@example([0.0, 0.0, 0.0])
@example([0.1 + 0.2, 0.3, 0.3])
def test_the_interval_is_students(values: list[float]) -> None:
    low, high = mean_interval(values)
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    margin = stats.t.ppf(0.975, len(values) - 1) * deviation / len(values) ** 0.5
    assert low == pytest.approx(mean - margin, rel=1e-6, abs=1e-6)
    assert high == pytest.approx(mean + margin, rel=1e-6, abs=1e-6)


@given(st.tuples(finite, finite).map(sorted))
def test_a_verdict_needs_an_interval_clear_of_zero(interval: list[float]) -> None:
    low, high = interval
    words = {"supported": low > 0, "not supported": high < 0, "inconclusive": low <= 0 <= high}
    assert [word for word, holds in words.items() if holds] == [verdict((low, high))]


def test_a_mean_curve_keeps_to_steps_that_all_runs_have() -> None:
    long, short = {1000: 0.9, 1875: 0.95, 2000: 0.95}, {1000: 0.9, 1150: 0.1}
    assert mean_by_step([long, short]) == {1000: 0.9}
    assert mean_by_step([long, {2000: 0.05, 1000: 0.1}]) == {1000: 0.5, 2000: 0.5}
    assert list(mean_by_step([{2: 0.0, 1: 1.0}])) == [1, 2]


def test_around_the_edge_are_the_nearest_of_each_side() -> None:
    stable = [small_run(learning_rate=rate) for rate in (0.001, 0.004, 0.006)]
    failed = [small_run(learning_rate=rate, label="dead") for rate in (0.0045, 0.007, 0.1)]
    below, above = around([*stable, *failed], 0.005)
    assert (below.spec.learning_rate, above.spec.learning_rate) == (0.004, 0.007)
    below, above = around([stable[2], failed[0]], 0.005)
    assert (below.spec.learning_rate, above.spec.learning_rate) == (0.006, 0.0045)
    assert around(failed, 0.005) == [failed[1]]


def test_the_gap_between_the_modes_is_that_of_the_last_step() -> None:
    checks = [{"step": 10, "images": 5, "inference": 0.1, "training": 0.9},
              {"step": 20, "images": 5, "inference": 0.5, "training": 0.75}]  # fmt: skip
    runs = [small_run(checks=checks), small_run()]
    assert gap(runs).values == (0.25,)
    assert training_curve(runs[0]) == {10: 0.9, 20: 0.75}
    assert training_curve(runs[1]) == {}
