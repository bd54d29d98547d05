"""The figure of a ceiling: all trials are in it, and no text lies on another."""

import itertools
from collections.abc import Iterator

import matplotlib.pyplot as plt
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


@pytest.fixture(params=CASES, ids=list(CASES))
def drawn(request: pytest.FixtureRequest) -> Iterator[Axes]:
    axes = plot_ceiling(study_of(CASES[request.param]))
    yield axes
    plt.close(axes.figure)  # type: ignore[arg-type]


def test_no_text_lies_on_another_or_outside(drawn: Axes) -> None:
    figure = drawn.figure
    figure.canvas.draw()
    legend = drawn.get_legend()
    assert legend is not None
    left, right = drawn.get_xlim()
    ticks = [
        tick.label1 for tick in drawn.xaxis.get_major_ticks() if left <= tick.get_loc() <= right
    ]
    texts = [drawn.title, drawn.xaxis.label, *legend.get_texts(), *ticks]
    boxes = [text.get_window_extent() for text in texts if text.get_visible()]
    whole = figure.bbox
    inside = [box for box in boxes if whole.x0 <= box.x0 and box.x1 <= whole.x1]
    assert inside == boxes
    overlaps = [
        (one, other) for one, other in itertools.combinations(boxes, 2) if one.overlaps(other)
    ]
    assert overlaps == []


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
