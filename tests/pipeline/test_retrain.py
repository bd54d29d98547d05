"""`lr-ceiling retrain` whole: real MNIST, real DVC, a real registry, small budgets."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from conftest import ROOT, SMALL_PIPELINE, WEEK, keep_work, run_command
from lr_ceiling.mnist import dataset
from lr_ceiling.pipeline.commands import retrain as command
from smoke import change_params, lay_out, search_path

# The short searches of a test bound no ceiling: these are what longer ones would have found.
LONGER_SEARCH = """
import json
import signal
from pathlib import Path
path = Path("reports/ceilings.json")
ceilings = json.loads(path.read_text())
for arm in ceilings["arms"]:
    arm["lr90"] = {"estimate": 0.02, "ci95": [0.015, 0.03]}
    for found in (arm["usable"], arm["pooled"]["usable"]):
        found |= {"estimate": 0.01, "ci95": [0.008, 0.015]}
path.write_text(json.dumps(ceilings))
"""
SMALL: dict[str, dict[str, Any]] = {
    "grid": {"variants": ["baseline"]},
    # What a retraining replaces.
    "train": {"seeds": [0]},
    "search": {"seed": 0},
    "promote": {"floor": 0.5},
}
SMALL_FILES = ("params.yaml", "dvc.lock", "reports/validation.json", "reports/ceilings.json")


def retrain(folder: Path, source: Path) -> str:
    # The gate logs what it registers; the stages' own logging takes 4 s each.
    settings = {"LR_CEILING_TRACKING": "off", "LR_CEILING_SOURCE": str(source)}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return run_command(command.main, folder, "--week", WEEK, PATH=search_path(), **settings)
    finally:
        signal.signal(signal.SIGTERM, handler)


def outcome_of(folder: Path) -> dict[str, Any]:
    outcome: dict[str, Any] = json.loads((folder / "state" / "retrain.json").read_text())
    return outcome


def contents(folder: Path) -> dict[str, bytes]:
    """All that a failure must leave as it was."""
    small = [folder / name for name in SMALL_FILES]
    big = [path for path in (folder / "data").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in [*small, *big]}


@pytest.fixture
def retrained(project: Path) -> Iterator[Path]:
    """The project; after each test, `state/retrain.*` is as the first retraining left it."""
    files = {path: path.read_bytes() for path in (project / "state").glob("retrain.*")}
    yield project
    for path, content in files.items():
        path.write_bytes(content)


@pytest.fixture(scope="module")
def project(
    small_pipeline: Path, mnist_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A project after one retraining: a fresh clone to which the work of a former one came."""
    folder = tmp_path_factory.mktemp("retrain") / "project"
    lay_out(folder)
    keep_work(small_pipeline, folder)
    change_params(folder, SMALL_PIPELINE)
    change_params(folder, SMALL)
    (folder / "longer_search.py").write_text(LONGER_SEARCH)
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    pipeline["stages"]["report"]["cmd"] += " && python longer_search.py"
    with (folder / "dvc.yaml").open("w") as file:
        YAML().dump(pipeline, file)
    retrain(folder, mnist_path)
    return folder


def test_the_weeks_seeds_are_trained_and_the_best_model_goes_live(retrained: Path) -> None:
    outcome = outcome_of(retrained)
    assert (outcome["outcome"], outcome["week"]) == ("promoted", WEEK)
    assert outcome["decision"]["live"] == 1
    assert outcome["decision"]["gate_images"] == 1000
    params = YAML(typ="safe").load((retrained / "params.yaml").read_text())
    assert params["train"]["seeds"] == outcome["train_seeds"] != [0]
    assert params["search"]["seed"] == outcome["search_seed"]
    runs = json.loads((retrained / "data/train/baseline-relu-0.003/runs.json").read_text())
    assert [run["spec"]["seed"] for run in runs] == outcome["train_seeds"]
    assert (retrained / "state" / "retrain.md").read_text().endswith("Live: version 1.\n")


def test_a_damaged_source_stops_it_before_any_training(retrained: Path, tmp_path: Path) -> None:
    before = contents(retrained)
    damaged = tmp_path / "mnist.npz"
    damaged.write_bytes(before["data/mnist.npz"][:-1000])
    with pytest.raises(SystemExit, match=r"error: data unavailable: .*; the champion stays"):
        retrain(retrained, damaged)
    outcome = outcome_of(retrained)
    assert (outcome["outcome"], outcome["decision"]) == ("data unavailable", None)
    assert contents(retrained) == before


def test_data_that_breaks_the_specification_stops_it_before_any_training(
    retrained: Path, mnist_path: Path, tmp_path: Path
) -> None:
    arrays = dataset.read_arrays(mnist_path)
    other = dataset.Arrays(
        arrays.train_images, np.roll(arrays.train_labels, 1), arrays.test_images, arrays.test_labels
    )
    dataset.write_arrays(tmp_path / "other.npz", other)
    mine = (retrained / "params.yaml").read_text()
    # Taken on purpose, as the message of `fetch` suggests.
    change_params(retrained, {"data": {"expected_digests": dict(dataset.digests(other))}})
    before = contents(retrained)
    try:
        with pytest.raises(SystemExit, match=r"error: validation failed: .*; the champion stays"):
            retrain(retrained, tmp_path / "other.npz")
        outcome = outcome_of(retrained)
        assert outcome["outcome"] == "validation failed"
        assert "expectations of MNIST don't hold" in outcome["reason"]
        assert contents(retrained) == before
    finally:
        (retrained / "params.yaml").write_text(mine)
