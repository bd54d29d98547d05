"""Figures: the same bytes each time, real text, nothing left out."""

from pathlib import Path
from typing import get_args

import pytest

from conftest import small_run
from lr_ceiling import figures
from lr_ceiling.figures import LABEL_MARKS
from lr_ceiling.runs import Variant


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
    assert drawn == {name: int(name == label) for name in LABEL_MARKS}
