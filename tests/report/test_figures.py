"""Figures: the same bytes each time, real text, nothing left out."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from conftest import small_belief, small_run, small_study
from lr_ceiling.evidence.measurement import Measurement
from lr_ceiling.evidence.records import VARIANTS, Arm, Ratio, TriedFinder
from lr_ceiling.mnist.specification import Variant
from lr_ceiling.report import figures
from lr_ceiling.report.figures import LABEL_MARKS
from lr_ceiling.report.words import in_short
from lr_ceiling.search.estimates import NOTHING
from lr_ceiling.search.posterior import NO_CALLS, Observation, Range


def test_figures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    pair = {variant: [small_run(variant=variant)] for variant in get_args(Variant)}
    for name in ("one", "two"):
        figures.save(figures.pair_of_curves(pair, "title"), tmp_path / name)
    for kind in ("svg", "png"):
        one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
        assert one == two
    text = (tmp_path / "one.svg").read_text()
    assert all(f">{word}</text>" in text for word in ("baseline", "batch norm", "optimizer step"))


def test_a_curve_of_one_check_is_a_mark() -> None:
    figure = figures.pair_of_curves({"baseline": [small_run()]}, "title")
    _, validation = figure.axes
    assert {line.get_marker() for line in validation.lines} == {"o"}


def test_the_mean_goes_as_far_as_every_run_goes() -> None:
    long = small_run(checks=[{"step": s, "images": 5, "inference": 1.0, "training": None}
                             for s in (10, 20)])  # fmt: skip
    short = small_run(checks=[{"step": 10, "images": 5, "inference": 0.0, "training": None}])
    figure = figures.pair_of_curves({"baseline": [long, short]}, "title")
    mean = figure.axes[1].lines[-1]
    assert mean.get_xydata().tolist() == [[10, 0.5]]  # type: ignore[union-attr]


@pytest.mark.parametrize("label", LABEL_MARKS)
def test_every_label_has_its_mark(label: str) -> None:
    figure = figures.trials_of_arms({"baseline-relu": [small_run(label=label)]})
    drawn = {dots.get_label(): len(dots.get_offsets()) for dots in figure.axes[0].collections}  # type: ignore[arg-type]
    assert drawn == {label: 1}


def words_of(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_text()]


BOUNDS = Range(-4, 0, -6, 2)
US = np.linspace(-3.5, -0.5, 40)


def measured(trials: Sequence[Observation]) -> Measurement:
    return Measurement.of(trials, BOUNDS, NO_CALLS, 0.01)


def graded(shift: float) -> Measurement:
    """Trains below -1.5, and loses accuracy from -2 on."""
    return measured(
        [
            Observation(u + shift, True, score=0.98 - 0.1 * max(u + 2, 0))
            if u < -1.5
            else Observation(u + shift, False)
            for u in US
        ]
    )


@pytest.fixture(scope="module")
def arms() -> dict[Arm, Measurement]:
    return {("baseline", "relu"): graded(0.0), ("batchnorm", "relu"): graded(0.5)}


def test_an_arm_has_two_marks_with_their_numbers_and_batch_norm_its_ratios(
    arms: dict[Arm, Measurement],
) -> None:
    ratio = Ratio.model_validate(
        {
            "activation": "relu",
            "lr50": NOTHING,
            "lr90": {"estimate": 200, "ci95": (80, 420)},
            "usable": {"estimate": 3.21, "ci95": (2, 5)},
        }
    )
    figure = figures.ceilings_of_arms(arms, [ratio])
    numbers = [
        in_short(one.measured(name)[0]) for one in arms.values() for name in ("lr90", "usable")
    ]
    assert len(set(numbers)) == 4
    assert all(re.fullmatch(r"\S+ \(\S+ to \S+\)", number) for number in numbers)
    assert words_of(figure) == [
        *numbers[:2],
        f"{numbers[2]}, 200 times the baseline's",
        f"{numbers[3]}, 3.2 times the baseline's",
    ]
    assert words_of(figures.ceilings_of_arms(arms)) == numbers
    shown = [
        (line.get_marker(), line.get_xdata()[0])  # type: ignore[index]
        for line in figure.axes[0].lines
        if line.get_marker() in ("o", "D")
    ]
    assert shown == [
        (marker, one.measured(name)[0].estimate)
        for one in arms.values()
        for name, marker in (("lr90", "o"), ("usable", "D"))
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["trains up to (lr90)", "no accuracy lost up to (usable)"]


def test_a_ratio_without_a_number_is_not_told(arms: dict[Arm, Measurement]) -> None:
    one_sided = {"estimate": None, "ci95": (12.0, None)}
    ratio = Ratio.model_validate({"activation": "relu", "lr50": one_sided, "lr90": one_sided})
    assert words_of(figures.ceilings_of_arms(arms, [ratio])) == words_of(
        figures.ceilings_of_arms(arms)
    )


@pytest.mark.parametrize(
    ("stable", "words", "marker"),
    [(True, "no ceiling found up to ", ">"), (False, "at most ", "<"), (None, "not bounded", None)],
)
def test_a_ceiling_that_is_not_bounded_says_so(
    stable: bool | None, words: str, marker: str | None
) -> None:
    trials = [] if stable is None else [Observation(u, stable) for u in np.linspace(-5.5, 1.5, 9)]
    if stable is False:
        # One that trained, lest there is no ceiling at all.
        trials = [Observation(-6.0, True)] * 4 + trials[3:]
    figure = figures.ceilings_of_arms({("baseline", "relu"): measured(trials)})
    trains, usable = words_of(figure)
    assert trains.startswith(words)
    assert usable == "not bounded"
    triangles = [line.get_marker() for line in figure.axes[0].lines]
    assert triangles == ([] if marker is None else [marker])


def test_a_range_test_is_a_line_under_the_ceiling_coloured_by_its_seeds(
    arms: dict[Arm, Measurement],
) -> None:
    arm = next(iter(arms))
    found = [
        TriedFinder(name=f"{sweep} {kind}", learning_rate=rate, stopped=stopped,
                    probability=None, seeds=5, stable=stable)
        for sweep, kind, rate, stopped, stable in (
            ("fastai", "suggestion", 1e-3, False, 5),
            ("fastai", "edge", 10.0, False, 0),
            ("keras", "suggestion", 1e-6, True, 0),
            ("keras", "edge", 0.1, True, 3),
        )
    ]  # fmt: skip
    figure = figures.range_tests_of_arms(arms, {arm: found})
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() in {"o", "s", ">"}]
    below = [line for line in marks if np.all(np.asarray(line.get_ydata()) > 0)]
    drawn = [
        (float(np.asarray(line.get_xdata())[0]), line.get_marker(), line.get_color())
        for line in below
    ]
    none, some, every = figures.STABLE_COLOURS
    assert drawn == [(1e-3, "o", every), (10.0, ">", none), (1e-6, "o", none), (0.1, "s", some)]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [f"{arm[1]}, {VARIANTS[arm[0]]}", "fastai", "keras"]


def test_a_run_that_was_ended_has_a_cross_and_its_loss_may_be_no_number() -> None:
    curve = {"steps": (5, 10), "loss": (1.0, None), "loss_min": (0.0, None),
             "loss_max": (2.0, None), "accuracy": (0.2, 0.1)}  # fmt: skip
    ended = small_run(label="diverged", called="diverged", called_at=10, steps=10, curve=curve)
    figure = figures.around_the_edge([small_run(), ended], "title")
    loss, accuracy = figure.axes
    assert loss.lines[1].get_ydata()[0] == 1.0  # type: ignore[index]
    assert np.isnan(loss.lines[1].get_ydata()[1])  # type: ignore[index]
    assert "on validation images" in [text.get_text() for text in figure.legends[0].get_texts()]
    crosses = [line.get_xydata().tolist() for line in accuracy.lines if line.get_marker() == "X"]  # type: ignore[union-attr]
    assert crosses == [[[10, 0.1]]]
    names = [str(line.get_label()) for line in accuracy.lines]
    assert "learning rate 0.003: diverged, ended at step 10" in names
    circles = [line.get_xydata().tolist() for line in accuracy.lines if line.get_marker() == "o"]  # type: ignore[union-attr]
    assert circles == [[[20, 0.95]]] * 2


def test_a_failure_on_validation_images_alone_is_seen_at_the_edge() -> None:
    """Batch norm's are those of its training mode: saved averages lag, and decide nothing."""
    checks = [{"step": 20, "images": 5, "inference": 0.2, "training": 0.7}]
    figure = figures.around_the_edge([small_run(label="slow", checks=checks)], "title")
    lines = figure.axes[1].lines
    circles = [line.get_xydata().tolist() for line in lines if line.get_marker() == "o"]  # type: ignore[union-attr]
    assert circles == [[[20, 0.7]]]


def drawn_probability(**changes: object) -> tuple[Axes, list[tuple[str, list[float]]]]:
    """A search's panel, and its marks of limits: marker, then learning rate and height."""
    runs = [small_run(learning_rate=rate) for rate in (0.01, 0.1)]
    (panel,) = figures.probability_of_arms([small_study(**changes)], [small_belief()], [runs]).axes
    marks = [
        (str(line.get_marker()), np.asarray(line.get_xydata())[0].tolist())
        for line in panel.lines
        if line.get_marker() in ("o", "D")
    ]
    return panel, marks


def test_a_panel_has_the_ceilings_and_how_probable_they_are() -> None:
    panel, marks = drawn_probability()
    assert marks == [("o", [0.01, 0.9]), ("D", [0.006, 0.5])]
    assert panel.get_title(loc="left") == (
        "baseline, relu: trains up to 0.01 (0.005 to 0.02)\n"
        "some rate trains nine times in ten: very likely (95%)"
    )
    checks = replace(small_study().checks, lr90_exists=0.1)
    panel, marks = drawn_probability(checks=checks)
    assert [marker for marker, _ in marks] == ["D"]
    assert panel.get_title(loc="left") == (
        "baseline, relu: no rate trains nine times in ten\n"
        "that is very likely (90%); the best rate is 0.004"
    )


def test_a_curve_is_faded_where_no_trial_is() -> None:
    panel, _ = drawn_probability()
    whole, among = ((np.asarray(line.get_xdata()), line.get_alpha()) for line in panel.lines[:2])
    assert among[0].min() >= 0.01
    assert among[0].max() <= 0.1
    assert len(whole[0]) > len(among[0]) > 0
    assert (whole[1], among[1]) == (0.35, 1.0)


def test_an_axis_is_written_out_or_in_powers_of_ten_but_never_both() -> None:
    for top, words in ((100.0, {"1", "0.01"}), (1e12, {"$\\mathdefault{10^{10}}$"})):
        curve = {"steps": (5, 10), "loss": (0.01, top), "loss_min": (0.001, 1.0),
                 "loss_max": (0.1, top), "accuracy": (0.2, 0.1)}  # fmt: skip
        figure = figures.around_the_edge([small_run(curve=curve)], "title")
        figure.draw_without_rendering()
        ticks = {tick.get_text() for tick in figure.axes[0].get_yticklabels()}
        assert words <= ticks
        assert len({"10^" in tick for tick in ticks if tick}) == 1


def test_both_modes_of_batch_norm_are_drawn() -> None:
    checks = [{"step": s, "images": 5, "inference": 0.5, "training": 0.75} for s in (10, 20)]
    figure = figures.training_and_inference({"relu": [small_run(checks=checks)]})
    means = {line.get_label(): line.get_xydata().tolist()  # type: ignore[union-attr]
             for line in figure.axes[0].lines if "mode" in str(line.get_label())}  # fmt: skip
    assert means == {
        "training mode": [[10, 0.75], [20, 0.75]],
        "inference mode": [[10, 0.5], [20, 0.5]],
    }


def test_the_axis_has_whole_decades_and_short_numbers() -> None:
    runs = [small_run(learning_rate=rate) for rate in (0.004, 0.006)]
    figure = figures.trials_of_arms({"baseline-relu": runs})
    figure.draw_without_rendering()
    assert figure.axes[0].get_xlim() == pytest.approx((0.001, 0.01))
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert {"0.001", "0.01"} <= set(ticks)


def test_a_tick_beside_its_power_of_ten_has_no_tail_of_digits() -> None:
    """Below 0.0001 there stood 0.000009999999999999999."""
    runs = [small_run(learning_rate=rate) for rate in (0.00003, 30_000)]
    figure = figures.trials_of_arms({"baseline-relu": runs})
    figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert {"0.00001", "0.001", "1,000"} <= set(ticks)
    assert [tick for tick in ticks if "99" in tick] == []
