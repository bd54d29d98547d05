"""The theory stage: what seeds say together, and what is found again."""

from pathlib import Path

import pytest

from conftest import run_command, small_project
from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Arrays
from lr_ceiling.pipeline.stages.theory import main, worst

ARGUMENTS = ("--variant", "baseline", "--output", "theory.json", "--state", "state/theory")


def test_the_seed_in_which_biases_change_most_counts() -> None:
    found = worst([(1e-12, 3.456e-13), (2.345e-12, 1e-13)])
    assert found == {"logit_difference": 2.3e-12, "gradient_ratio": 3.5e-13, "n": 2}


@pytest.fixture
def few_images(small_arrays: Arrays, tmp_path: Path) -> Path:
    """A splits file of drawn digits with 100 images to train on."""
    path = tmp_path / "splits.npz"
    dataset.write_splits(path, dataset.split(small_arrays, seed=0, validation=1000, gate=100))
    return path


def test_the_stage_says_how_the_seeds_differ(
    few_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project(tmp_path, {"train": {"seeds": [0, 1]}})
    run_command(main, project, str(few_images), *ARGUMENTS, "--activation", "relu")
    found = read_json(project / "theory.json")
    assert "bias" not in found
    for state in ("initial", "trained"):
        assert found[state]["n"] == 2
        assert found[state]["least"] <= found[state]["median"] <= found[state]["most"]
        assert found[state]["rates"] == [found[state]["least"], found[state]["most"]]
    with pytest.raises(SystemExit, match=r"^error: activation is 'relux': .*\n$"):
        run_command(main, project, str(few_images), *ARGUMENTS, "--activation", "relux")
    # What was found is kept, and a damaged file is not believed.
    first = (project / "theory.json").read_bytes()
    one, other = sorted((project / "state" / "theory").iterdir())
    one.write_text(one.read_text().replace("made_by", "made"))
    before = other.stat().st_mtime_ns
    run_command(main, project, str(few_images), *ARGUMENTS, "--activation", "relu")
    assert (project / "theory.json").read_bytes() == first
    assert other.stat().st_mtime_ns == before
    monkeypatch.setattr("lr_ceiling.pipeline.workers.local_executor", pytest.fail)
    run_command(main, project, str(few_images), *ARGUMENTS, "--activation", "relu")
    assert (project / "theory.json").read_bytes() == first
