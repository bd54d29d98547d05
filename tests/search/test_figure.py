"""The figure of a ceiling: all trials are in it, and no text lies on another."""

import itertools
from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes

from lr_ceiling.search.ceiling import ceiling_of, plot_ceiling
from search.test_ceiling import EDGE, MORE, study_of

CASES = {
    "edge": EDGE + MORE,
    "all stable": [(0.01, True), (1, True), (9, True)],
    "none stable": [(1, False), (0.01, False)],
    "one trial": [(0.01, True)],
}


@pytest.fixture(params=list(itertools.product(CASES, ("ours", "theirs"))), ids="-".join)
def drawn(request: pytest.FixtureRequest) -> Iterator[Axes]:
    case, figure = request.param
    # One of several panels, as others lay them out.
    given = None if figure == "ours" else plt.subplots(1, 2, figsize=(10, 4.5))[1][0]
    axes = plot_ceiling(study_of(CASES[case]), given)
    yield axes
    plt.close(axes.figure)  # type: ignore[arg-type]


def test_no_text_lies_on_another_or_outside(drawn: Axes) -> None:
    figure = drawn.figure
    figure.canvas.draw()
    legend = drawn.get_legend()
    assert legend is not None
    left, right = drawn.get_xlim()
    drawn_ticks = (*drawn.xaxis.get_major_ticks(), *drawn.xaxis.get_minor_ticks())
    ticks = [
        tick.label1
        for tick in drawn_ticks
        if left <= tick.get_loc() <= right and tick.label1.get_text()
    ]
    assert ticks
    texts = [drawn.title, drawn.xaxis.label, *legend.get_texts(), *ticks]
    boxes = [text.get_window_extent() for text in texts if text.get_visible()]
    whole = figure.bbox
    assert all(whole.x0 <= box.x0 and box.x1 <= whole.x1 for box in boxes)
    assert all(whole.y0 <= box.y0 and box.y1 <= whole.y1 for box in boxes)
    overlaps = [
        (one, other) for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)
    ]
    assert overlaps == []


def test_the_answer_is_in_sight_and_no_trial_is_behind_the_legend(drawn: Axes) -> None:
    drawn.figure.canvas.draw()
    legend = drawn.get_legend()
    assert legend is not None
    behind = legend.get_window_extent()
    for line in (line for line in drawn.get_lines() if line.get_linestyle() == "None"):
        points = drawn.transData.transform(np.array(line.get_xydata()))
        assert all(drawn.bbox.contains(*point) for point in points)
        assert not any(behind.contains(*point) for point in points)


def test_every_trial_is_drawn() -> None:
    trials = EDGE + MORE
    axes = ceiling_of(study_of(trials)).plot()
    marks = {
        line.get_label(): sorted(map(float, line.get_xdata()))  # type: ignore[arg-type]
        for line in axes.get_lines()
    }
    for stable, name in ((True, "stable"), (False, "failed")):
        rates = sorted(rate for rate, was in trials if was is stable)
        assert marks[f"{len(rates)} {name}"] == pytest.approx(rates)
    plt.close(axes.figure)  # type: ignore[arg-type]


def test_it_is_drawn_where_one_asks() -> None:
    _, axes = plt.subplots()
    assert ceiling_of(study_of(EDGE)).plot(axes) is axes
    plt.close(axes.figure)  # type: ignore[arg-type]
