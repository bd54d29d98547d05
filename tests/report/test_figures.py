"""Figures: the same bytes each time, real text, nothing left out."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from matplotlib.figure import Figure

from conftest import small_run, small_study
from lr_ceiling.evidence.records import Ratio
from lr_ceiling.mnist.specification import Variant
from lr_ceiling.report import figures
from lr_ceiling.report.figures import LABEL_MARKS


def test_figures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    pair = {variant: [small_run(variant=variant)] for variant in get_args(Variant)}
    for name in ("one", "two"):
        figures.save(figures.pair_of_curves(pair, "title"), tmp_path / name)
    for kind in ("svg", "png"):
        one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
        assert one == two
    text = (tmp_path / "one.svg").read_text()
    assert all(f">{word}</text>" in text for word in ("baseline", "batchnorm", "optimizer step"))


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


def test_ceilings_have_their_numbers_and_ratios() -> None:
    bounded = {"estimate": 2.0, "ci95": (1.0, 4.0)}
    above = small_study(variant="batchnorm", lr50=bounded, lr90=bounded)
    ratio = Ratio.model_validate(
        {"activation": "relu", "lr50": bounded, "lr90": {"estimate": 200, "ci95": (80, 420)}}
    )
    figure = figures.ceilings_of_arms([small_study(), above], [ratio])
    assert words_of(figure) == [
        "0.01 (0.005 to 0.02)", "2 (1 to 4)", "200 times (80 to 420)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("ci95", "words"),
    [((0.3, None), "at least 0.3"), ((None, 0.3), "at most 0.3"), ((None, None), "not bounded")],
)
def test_a_ceiling_that_is_not_bounded_says_so(
    ci95: tuple[float | None, float | None], words: str
) -> None:
    found = {"estimate": None, "ci95": ci95}
    figure = figures.ceilings_of_arms([small_study(lr50=found, lr90=found)])
    assert words_of(figure) == [words]


def test_a_run_that_was_ended_has_a_cross_and_its_loss_may_be_no_number() -> None:
    curve = {"steps": (5, 10), "loss": (1.0, None), "loss_min": (0.0, None),
             "loss_max": (2.0, None), "accuracy": (0.2, 0.1)}  # fmt: skip
    ended = small_run(label="diverged", called="diverged", called_at=10, steps=10, curve=curve)
    figure = figures.around_the_edge([small_run(), ended], "title")
    loss, accuracy = figure.axes
    assert loss.lines[1].get_ydata()[0] == 1.0  # type: ignore[index]
    assert np.isnan(loss.lines[1].get_ydata()[1])  # type: ignore[index]
    crosses = [line.get_xydata().tolist() for line in accuracy.lines if line.get_marker() == "X"]  # type: ignore[union-attr]
    assert crosses == [[[10, 0.1]]]
    assert accuracy.lines[-1].get_label() == "learning rate 0.003: diverged, ended at step 10"


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
