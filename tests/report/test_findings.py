"""What the stages found, read from their files and looked at by cell, arm and pair."""

from pathlib import Path

import pytest

from conftest import small_belief, small_run, small_study
from lr_ceiling.errors import ResultsError
from lr_ceiling.report.findings import Findings, Search, name_of


def test_names_are_those_of_the_matrix_in_dvc_yaml() -> None:
    assert name_of(("batchnorm", "relu", 0.01)) == "batchnorm-relu-0.01"
    assert name_of(("batchnorm", "relu", 1)) == "batchnorm-relu-1"
    assert name_of(("baseline", "sigmoid")) == "baseline-sigmoid"


def test_pairs_have_both_variants_of_an_activation_and_a_learning_rate(findings: Findings) -> None:
    pairs = findings.pairs
    assert list(pairs) == ["relu-0.01", "relu-1"]
    assert pairs["relu-1"] == {
        variant: findings.cells[variant, "relu", 1] for variant in ("baseline", "batchnorm")
    }


def test_a_variant_alone_makes_a_pair_of_one(findings: Findings) -> None:
    alone = Findings({("baseline", "relu", 1): findings.cells["baseline", "relu", 1]}, {}, {})
    assert [list(pair) for pair in alone.pairs.values()] == [["baseline"]]
    assert alone.normalised == {}
    assert alone.ratios == []


def test_normalised_cells_have_batch_norm(findings: Findings) -> None:
    assert list(findings.normalised) == ["relu, learning rate 0.01", "relu, learning rate 1"]
    specs = [run.spec for runs in findings.normalised.values() for run in runs]
    assert {spec.variant for spec in specs} == {"batchnorm"}


def test_runs_are_those_of_cells_and_trials(findings: Findings) -> None:
    # Four cells of three seeds, two searches of four trials.
    assert len(findings.runs) == 20
    assert [study.variant for study in findings.studies] == ["baseline", "batchnorm"]
    assert [ratio.activation for ratio in findings.ratios] == ["relu"]


def test_the_edge_is_lr50_or_else_the_highest_stable_trial() -> None:
    nothing = {"estimate": None, "ci95": (0.01, None)}
    for changes, edge in (
        ({}, 0.01),
        ({"lr50": nothing, "highest_stable": 0.3}, 0.3),
        ({"lr50": nothing, "highest_stable": None}, None),
    ):
        assert Search(small_study(**changes), small_belief(), [small_run()]).edge == edge


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"baseline-relu-1/runs\.json is missing"):
        Findings.read([("baseline", "relu", 1)], [], tmp_path, tmp_path, tmp_path)
