"""Which figures a report has."""

from pathlib import Path

from conftest import small_belief, small_run, small_study
from lr_ceiling.report.findings import Findings, Search
from lr_ceiling.report.gallery import draw, pair_title


def test_there_is_a_figure_of_all_arms_a_pair_and_an_edge(
    findings: Findings, tmp_path: Path
) -> None:
    drawn = draw(tmp_path, findings, ())
    assert drawn == [
        "ceilings", "probability", "trials", "curves-relu-0.01", "curves-relu-1",
        "edge-baseline-relu", "edge-batchnorm-relu", "modes",
    ]  # fmt: skip
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {f"{name}.{kind}" for name in drawn for kind in ("svg", "png")}


def test_without_a_stable_trial_or_batch_norm_some_are_left_out(tmp_path: Path) -> None:
    nothing = {"estimate": None, "ci95": (None, None)}
    study = small_study(lr50=nothing, lr90=nothing, highest_stable=None)
    search = Search(study, small_belief(), [small_run(label="dead")])
    found = Findings({("baseline", "relu", 0.003): [small_run()]}, {("baseline", "relu"): search},
                     {})  # fmt: skip
    assert draw(tmp_path, found, ()) == ["ceilings", "probability", "trials", "curves-relu-0.003"]


def test_a_pairs_title_is_what_its_runs_share() -> None:
    runs = [small_run(seed=seed, learning_rate=1) for seed in (0, 1)]
    assert pair_title(runs) == "relu, learning rate 1, 2 seeds"
