"""The benchmark's own parts on small inputs, and its report against the page that tells of it."""

import itertools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from ruamel.yaml import YAML

from benchmarks import find, overhead, post, repro, scaling, stages, step, suite
from benchmarks.fleet import FLOOR, KERAS, NOTEBOOK, OURS, SINGLE, Fleet, Peer
from benchmarks.peers.floor import step_flops
from benchmarks.places import REPORT, ROOT
from benchmarks.protocol import CHUNK, COMPARED, Order, Trained, initial
from benchmarks.rows import against_bar, against_peer, markdown, read_figures, write_report
from lr_ceiling.execution.executor import cores
from lr_ceiling.mnist import network, training

IDS = {
    "post-experiment",
    "step-baseline",
    "step-batchnorm",
    "scaling-2-workers",
    "memory-worker",
    "memory-driver",
    "help",
    "noop-repro",
    "stage-start",
    "search-overhead",
    "find-overhead",
    "keras-problem",
}
ARMS = list(itertools.product(("baseline", "batchnorm"), ("relu", "sigmoid")))
PARAMETERS = {"baseline": 93_322, "batchnorm": 93_556}
STEP = 0.004


@pytest.fixture(scope="module")
def fleet_of(small_splits: Path) -> Iterator[Callable[[Peer], Fleet]]:
    """Gives a peer's fleet, on one core; each is started once."""
    with ExitStack() as stack:

        @lru_cache
        def started(peer: Peer) -> Fleet:
            arms = [Order("prepare", "baseline", "relu")] if peer in (OURS, FLOOR) else []
            return stack.enter_context(Fleet(peer, small_splits, arms, [0]))

        yield started


@pytest.fixture(scope="module")
def prepared(fleet_of: Callable[[Peer], Fleet]) -> Callable[[Peer, str], dict[str, Any]]:
    """Gives what a peer says of the relu network of a variant; each is compiled once."""

    @lru_cache
    def said(peer: Peer, variant: str) -> dict[str, Any]:
        (process,) = fleet_of(peer).processes
        return process.ask(Order("prepare", variant, "relu"))

    return said


@pytest.mark.parametrize("peer", [OURS, NOTEBOOK, *SINGLE], ids=lambda peer: peer.module)
def test_every_way_trains_the_same_network(
    peer: Peer,
    fleet_of: Callable[[Peer], Fleet],
    prepared: Callable[[Peer, str], dict[str, Any]],
    small_splits: Path,
    tmp_path: Path,
) -> None:
    if not peer.is_installed:
        pytest.skip("the alternatives' environment .venv/peers is not there: `make bench` makes it")
    (process,) = fleet_of(peer).processes
    for variant, activation in ARMS:
        order = Order("probabilities", variant, activation, seed=1)
        weights = _generic(initial(order))
        np.savez(tmp_path / "weights.npz", *weights)
        named = replace(order, weights=str(tmp_path / "weights.npz"))
        theirs = np.array(process.ask(named)["probabilities"])
        assert theirs.shape == (COMPARED, 10)
        assert theirs == pytest.approx(_keras(order, weights, small_splits), abs=2e-4)
    for variant, parameters in PARAMETERS.items():
        assert prepared(peer, variant) == {"parameters": parameters}
    # Of the baseline, since batch norm's averages need more steps than these.
    trained = process.train(Order("train", "baseline", "relu", 0.003, steps=2 * CHUNK))
    # It learns: drawn digits are easier than MNIST.
    assert trained.accuracy > 0.5
    assert trained.training > 0
    assert trained.evaluation > 0


def _generic(weights: list[Any]) -> list[Any]:
    # Initial biases are 0, scales 1: a way that forgot them would look right.
    rng = np.random.default_rng(0)
    return [
        weight if weight.ndim > 1 else weight + rng.uniform(-0.3, 0.3, weight.shape).astype("f")
        for weight in weights
    ]


def _keras(order: Order, weights: list[Any], splits: Path) -> Any:
    model = network.build(order.variant, order.activation, seed=0)  # type: ignore[arg-type]
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    with np.load(splits) as file:
        images = file["train_images"][:COMPARED, ..., None].astype("float32") / 255
    return model(images, training=True).numpy()


def test_the_floor_counts_every_product_of_the_network() -> None:
    # Forward and weight gradient of all five, input gradient of all but the first.
    per_image = 2 * 389_376 + 3 * (4_460_544 + 663_552 + 73_728 + 1_280)
    assert step_flops() == 32 * per_image


def test_post_experiment_and_steps_give_a_row_a_peer(
    fleet_of: Callable[[Peer], Fleet],
    prepared: Callable[[Peer, str], dict[str, Any]],
    small_splits: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Keras takes 5 s to compile a network more, and sigmoid is timed like relu.
    monkeypatch.setattr(post, "CELLS", (("relu", 0.01), ("relu", 0.001)))
    monkeypatch.setattr(step, "ACTIVATIONS", ("relu",))
    keras = fleet_of(KERAS)
    for variant in post.VARIANTS:
        prepared(KERAS, variant)
    with ExitStack() as stack:
        workers = post.OurExperiment(small_splits, 1, post.arms()[:1], stack)
        (row,) = post.measure(workers, [keras], CHUNK, repeats=1)
    assert (row.id, row.peer_name, row.runs) == ("post-experiment", KERAS.name, 1)
    assert row.extra["steps"] == 4 * CHUNK
    assert row.extra["peer_startup"] > 0
    rows = step.measure(fleet_of(OURS), fleet_of(FLOOR), [keras], CHUNK, repeats=1)
    told = {(row.id, row.of, row.peer_name) for row in rows}
    names = {"floor", KERAS.name}
    assert told == {
        (f"step-{variant}", "relu", name)
        for variant in post.VARIANTS
        for name in names | ({"our baseline"} if variant == "batchnorm" else set())
    }
    assert all(row.runs == 1 and row.range[0] <= row.ours <= row.range[1] for row in rows)


class Scripted:
    """A fleet whose steps take as long as told, batch norm's half as long."""

    def __init__(self, peer: Peer, milliseconds: float) -> None:
        self.peer, self.processes, self._milliseconds = peer, [self], milliseconds

    def train(self, order: Order) -> Trained:
        """A run of such steps."""
        share = 0.5 if order.variant == "batchnorm" else 1.0
        seconds = order.steps * share * self._milliseconds / 1000
        return Trained(training=seconds, evaluation=0.0, accuracy=0.9)


def test_a_step_is_held_against_the_floor_the_peer_and_our_baseline() -> None:
    ours, floor, keras = (
        cast(Fleet, Scripted(peer, milliseconds))
        for peer, milliseconds in ((OURS, 2.0), (FLOOR, 1.5), (KERAS, 5.0))
    )
    rows = step.measure(ours, floor, [keras], CHUNK, repeats=2)
    assert {row.of for row in rows} == {"relu", "sigmoid"}
    expected = {
        ("step-baseline", "floor"): (2.0, 0.75, 1 / step.BASELINE_BAR),
        ("step-baseline", KERAS.name): (2.0, 2.5, 1.0),
        ("step-batchnorm", "floor"): (1.0, 0.75, None),
        ("step-batchnorm", KERAS.name): (1.0, 2.5, 1.0),
        ("step-batchnorm", "our baseline"): (1.0, 2.0, 1 / step.BATCHNORM_BAR),
    }
    assert len(rows) == 2 * len(expected)
    for row in rows:
        milliseconds, ratio, bar = expected[row.id, row.peer_name]
        assert row.runs == 2
        assert row.ours == pytest.approx(milliseconds)
        assert row.ratio == pytest.approx(ratio)
        assert row.extra.get("bar") == bar


def test_what_is_known_of_training_is_so() -> None:
    known = (post.CHECK_STEPS, post.CHECK_IMAGES, overhead.BIN_STEPS)
    assert known == (training.CHECK_STEPS, training.CHECK_IMAGES, training.BIN_STEPS)


def test_scaled_evaluation_keeps_its_share(
    small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "SCRATCH", tmp_path)
    steps = CHUNK
    for ours, images in ((False, 5000 * steps / 1875), (True, (5000 + 5 / 3 * 500) * steps / 1875)):
        path = post.scaled_splits(small_splits, steps, ours)
        with np.load(path) as file:
            assert len(file["validation_labels"]) == round(images)
            assert len(file["train_labels"]) == 600


def test_steps_that_no_compiled_peer_takes_are_refused() -> None:
    with pytest.raises(ValueError, match=f"multiple of {CHUNK}"):
        post.check_steps(CHUNK + 1)


@pytest.mark.skipif(cores() < 2, reason="needs two cores")
def test_scaling_is_a_row(small_splits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each of three workers compiles each.
    monkeypatch.setattr(scaling, "VARIANTS", ("baseline",))
    row = scaling.measure(small_splits, CHUNK, repeats=1)
    assert row.id == "scaling-2-workers"
    assert row.ratio == pytest.approx(row.ours / scaling.BAR)


def test_memory_is_that_of_the_largest_child(tmp_path: Path) -> None:
    child = "import numpy; numpy.ones(40_000_000); import time; time.sleep(0.5)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    peaks = stages.watch([sys.executable, "-c", code], tmp_path)
    assert 320e6 / stages.GIB < peaks.worker < 0.6
    assert 0 < peaks.driver < 0.1


@pytest.mark.parametrize("stage", ["train", "search"])
def test_stages_are_called_as_the_pipeline_calls_them(stage: str, tmp_path: Path) -> None:
    command = {"train": stages.train_command, "search": stages.search_command}[stage](tmp_path)
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"][stage]["cmd"]
    options = {word for word in command if word.startswith("--")}
    assert options == {word for word in pipeline.split() if word.startswith("--")}


def test_a_stage_that_fails_is_no_figure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no splits"):
        stages.watch([sys.executable, "-c", "raise SystemExit('no splits')"], tmp_path)
    with pytest.raises(RuntimeError, match="failed"):
        stages.timed([sys.executable, "-c", "raise SystemExit(1)"], tmp_path)


def test_a_search_with_an_oracle_runs_every_trial() -> None:
    cost = overhead.search_cost(trials=6, epochs=1)
    assert cost.trials == 6
    assert 6 * overhead.DEAD_STEPS <= cost.steps <= 6 * post.EPOCH
    assert min(cost.sampler, cost.journal, cost.results, cost.tracking) > 0
    total = cost.sampler + cost.journal + cost.results + cost.tracking
    assert cost.percent(STEP) == pytest.approx(100 * total / (cost.steps * STEP))


def test_cells_are_written_and_logged(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    network.build("baseline", "relu", seed=0).save(model)
    row = overhead.measure_cells(2, 2, 1, model, repeats=1, step_seconds=STEP)
    assert (row.id, row.of) == ("search-overhead", "2 cells x 2 seeds, 1 epochs")
    assert row.extra["steps_a_trial"] == post.EPOCH
    assert row.extra["ms_a_trial"]["tracking"] > 0


def test_time_without_a_run_is_told_by_stage() -> None:
    timeline = repro.Timeline(
        0.0, 100.0, (("fetch", 1.0), ("train@a", 3.0), ("train@b", 40.0), ("report", 90.0))
    )
    # Two overlap, one follows; the second stage has one that is idle on a core, which is no gap.
    runs = [(8.0, 20.0), (9.0, 25.0), (26.0, 38.0), (46.0, 88.0), (47.0, 50.0)]
    assert repro.gaps(timeline, runs) == {
        "before the first stage": 1.0,
        "fetch": 2.0,
        "train: until the first run": 5.0 + 6.0,
        "train: between runs": 1.0,
        "train: after the last run": 2.0 + 2.0,
        "report": 10.0,
    }


def test_cores_are_busy_where_runs_overlap_a_stage_that_trains() -> None:
    timeline = repro.Timeline(
        0.0, 100.0, (("fetch", 1.0), ("train@a", 10.0), ("search@b", 40.0), ("report", 60.0))
    )
    # One run on each core, one that spans two stages, and one that no stage has started.
    runs = [(12.0, 22.0), (12.0, 22.0), (35.0, 50.0), (70.0, 80.0)]
    assert repro.busy_share(timeline, runs, 2) == pytest.approx((10 + 10 + 15) / (2 * 50))


def test_lines_of_a_command_are_its_timeline(tmp_path: Path) -> None:
    lines = ["making", "dvc repro", "Running stage 'fetch':", "> x", "lr-ceiling log", "end"]
    code = f"for line in {lines}: print(line)"
    timeline = repro.follow(
        [sys.executable, "-c", code], tmp_path, first="dvc repro", last="lr-ceiling log"
    )
    assert [name for name, _ in timeline.stages] == ["fetch"]
    assert timeline.began <= timeline.stages[0][1] <= timeline.ended


def test_report_has_the_agreed_shape(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.json"
    share = against_bar(repro.ID, [9.0], repro.BAR, "%", commit="0" * 40)
    write_report(path, [against_peer("help", [0.2, 0.1, 0.4], [0.4, 0.5, 0.6], "other", "s")])
    write_report(path, [share])
    write_report(path, [replace(share, ours=8.0)])
    help_row, share_row = read_figures(path)
    assert help_row == {
        "id": "help",
        "ours": 0.2,
        "peer": 0.5,
        "peer_name": "other",
        "ratio": 2.5,
        "unit": "s",
        "runs": 3,
        "range": [0.1, 0.4],
        "peer_range": [0.4, 0.6],
    }
    assert (share_row["ours"], share_row["commit"]) == (8.0, "0" * 40)
    assert {"cpu", "cores", "python", "tensorflow"} <= set(json.loads(path.read_text())["machine"])


@pytest.mark.skipif(not REPORT.exists(), reason="no report yet: `make bench` writes it")
def test_the_page_tells_what_the_report_holds() -> None:
    figures = read_figures(REPORT)
    assert {figure["id"] for figure in figures} - {repro.ID, repro.BUSY_ID, suite.ID} == IDS
    page = (ROOT / "docs" / "benchmark.md").read_text().splitlines()
    missing = [line for line in markdown(figures) if line not in page]
    assert not missing


def test_each_trial_of_a_search_is_timed() -> None:
    taken = find.milliseconds(3)
    assert len(taken) == 3
    assert all(0 < one < 10_000 for one in taken)
