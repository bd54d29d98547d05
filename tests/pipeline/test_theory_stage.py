"""The theory stage: what seeds say together, and what is found again."""

from pathlib import Path

import pytest

from conftest import run_command, small_project
from lr_ceiling.execution.files import read_json
from lr_ceiling.pipeline.stages.theory import main, worst

ARGUMENTS = ("--variant", "baseline", "--output", "theory.json", "--state", "state/theory")


def test_the_seed_in_which_biases_change_most_counts() -> None:
    found = worst([(1e-12, 3.456e-13), (2.345e-12, 1e-13)])
    assert found == {"logit_difference": 2.3e-12, "gradient_ratio": 3.5e-13, "n": 2}


def test_the_stage_says_how_the_seeds_differ(
    small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = small_project(tmp_path, {"train": {"seeds": [0, 1]}})
    run_command(main, project, str(small_splits), *ARGUMENTS, "--activation", "relu")
    found = read_json(project / "theory.json")
    assert "bias" not in found
    for state in ("initial", "trained"):
        assert found[state]["n"] == 2
        assert found[state]["least"] <= found[state]["median"] <= found[state]["most"]
    with pytest.raises(SystemExit, match=r"^error: activation is 'relux': .*\n$"):
        run_command(main, project, str(small_splits), *ARGUMENTS, "--activation", "relux")
    # What was found is kept, and a damaged file is not believed.
    first = (project / "theory.json").read_bytes()
    one, other = sorted((project / "state" / "theory").iterdir())
    one.write_text(one.read_text().replace("made_by", "made"))
    before = other.stat().st_mtime_ns
    run_command(main, project, str(small_splits), *ARGUMENTS, "--activation", "relu")
    assert (project / "theory.json").read_bytes() == first
    assert other.stat().st_mtime_ns == before
    monkeypatch.setattr("lr_ceiling.pipeline.workers.local_executor", pytest.fail)
    run_command(main, project, str(small_splits), *ARGUMENTS, "--activation", "relu")
    assert (project / "theory.json").read_bytes() == first
