"""Many runs that can be stopped at any time."""

import gc
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.records import RunTable
from lr_ceiling.evidence.runs import RunSource
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.executor import local_executor
from lr_ceiling.execution.runner import Runner
from lr_ceiling.identity import processor
from lr_ceiling.mnist.results import RunResult, RunSummary
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import PREPARED_BY, TrainingTask
from lr_ceiling.mnist.version import engine_digest
from stand_in import StandIn


def oracle(task: TrainingTask) -> RunResult:
    return small_run(**task.spec.model_dump())


SPECS = [small_spec("d", seed=seed) for seed in range(5)]


def source_of(folder: Path, runner: Runner, tables: Iterable[RunTable] = ()) -> RunSource:
    return RunSource(Path("unused"), RunStore(folder), runner, tables)


def run(folder: Path, runner: Runner, specs: list[RunSpec] = SPECS) -> list[RunSummary]:
    return source_of(folder, runner).of(specs)


def test_results_come_in_the_order_of_the_specs(tmp_path: Path) -> None:
    assert [result.spec for result in run(tmp_path, StandIn(oracle))] == SPECS


def test_what_was_run_before_a_stop_is_not_run_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, StandIn(oracle, lives=3))
    again = StandIn(oracle)
    assert [result.spec for result in run(tmp_path, again)] == SPECS
    assert len(again.ran) == 2


def test_runs_of_other_code_are_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, StandIn(oracle))
    before = engine_digest()
    monkeypatch.setattr("lr_ceiling.mnist.version.LIBRARIES", ("numpy",))
    assert engine_digest() != before
    again = StandIn(oracle)
    run(tmp_path, again)
    assert len(again.ran) == 5


def test_runs_with_a_test_accuracy_answer_for_those_without(tmp_path: Path) -> None:
    first = StandIn(oracle)
    tested = source_of(tmp_path, first).of(SPECS, test=True)
    assert all(task.test for task in first.submitted)
    assert {one.test_accuracy for one in tested} == {0.94}
    again = StandIn(oracle)
    assert source_of(tmp_path, again).of(SPECS, test=True) == tested
    run(tmp_path, again)
    assert len(again.ran) == 0


def test_runs_without_a_test_accuracy_are_run_again_where_it_is_asked_for(tmp_path: Path) -> None:
    for spec in SPECS:
        RunStore(tmp_path).keep(small_run(**spec.model_dump(), test_accuracy=None))
    runner = StandIn(oracle)
    source = source_of(tmp_path, runner)
    source.of(SPECS)
    assert len(runner.ran) == 0
    assert {one.test_accuracy for one in source.of(SPECS, test=True)} == {0.94}
    assert len(runner.ran) == 5


def test_a_spec_that_is_named_twice_is_run_once_and_given_twice(tmp_path: Path) -> None:
    runner = StandIn(oracle)
    specs = [SPECS[0], SPECS[1], SPECS[0]]
    assert [result.spec for result in run(tmp_path, runner, specs)] == specs
    assert len(runner.ran) == 2


def test_groups_run_side_by_side(tmp_path: Path) -> None:
    runner = StandIn(oracle)
    groups = [SPECS[:2], SPECS[1:4]]
    found = source_of(tmp_path, runner).of_all(groups)
    assert [[one.spec for one in group] for group in found] == groups
    assert [task.spec for task in runner.submitted] == SPECS[:4]


def test_a_report_of_runs_stands_for_their_folder(tmp_path: Path) -> None:
    """What another clone has committed half done goes on here, and steps that it spares count."""
    there = source_of(tmp_path / "there", StandIn(oracle, lives=3))
    with pytest.raises(KeyboardInterrupt):
        there.of(SPECS)
    tables = [RunTable.model_validate_json(one.model_dump_json()) for one in there.tables]
    here = StandIn(oracle)
    source = source_of(tmp_path / "here", here, tables)
    assert source.tables == there.tables
    found = source.of(SPECS)
    assert len(here.ran) == 2
    assert source.spared == 3 * SPECS[0].horizon
    source.of(SPECS)
    assert source.spared == 3 * SPECS[0].horizon
    whole = source_of(tmp_path / "whole", StandIn(oracle))
    assert [one.spec for one in whole.of(SPECS)] == [one.spec for one in found]
    assert source.tables == whole.tables


def test_runs_of_another_processor_are_run_again_and_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("lr_ceiling.mnist.version.processor", lambda: "another")
        patch.setattr("lr_ceiling.evidence.records.processor", lambda: "another")
        there = source_of(tmp_path, StandIn(oracle))
        there.of(SPECS)
        tables = there.tables
    here = StandIn(oracle)
    source = source_of(tmp_path, here, tables)
    source.of(SPECS[:2])
    assert len(here.ran) == 2
    assert [(one.processor, len(one.runs)) for one in source.tables] == [
        ("another", 5),
        (processor(), 2),
    ]


def test_runs_that_are_known_elsewhere_are_told_once_they_are_asked_for(tmp_path: Path) -> None:
    runner = StandIn(oracle)
    elsewhere = [small_run(**spec.model_dump()) for spec in SPECS]
    source = RunSource(Path("unused"), RunStore(tmp_path), runner, elsewhere=elsewhere)
    assert not source.tables
    assert source.of(SPECS[:2]) == elsewhere[:2]
    assert len(runner.ran) == 0
    (table,) = source.tables
    assert [one.spec for one in table.summaries()] == SPECS[:2]


def test_real_workers_give_what_they_give_alone(
    small_splits: Path, digest: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    # The server that workers are forked from keeps its own there as long as it lives.
    with local_executor(1, PREPARED_BY) as started:
        started.submit(os.getpid).result()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    specs = [small_spec(digest, seed=seed) for seed in (0, 1)]
    store = RunStore(tmp_path)
    with Runner(lambda: local_executor(2, PREPARED_BY), 2) as runner:
        first = RunSource(small_splits, store, runner).of(specs)
        told: list[RunResult] = []
        again = RunSource(small_splits, store, runner, on_ended=told.append)
        assert again.of(specs) == first
    assert not told
    assert [one.steps for one in first] == [20, 20]
    # Nothing is left of what TensorFlow writes while it compiles.
    del runner, again
    gc.collect()
    assert not list(temporary.iterdir())
