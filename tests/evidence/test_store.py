"""Runs that are kept by what makes them: what is damaged or foreign is not found."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import small_run, small_spec
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.files import write_bytes
from lr_ceiling.mnist.version import run_digest

RUN = small_run(test_accuracy=None)
TESTED = small_run(test_accuracy=0.94)


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path)


def path_of(folder: Path) -> Path:
    return folder / run_digest() / f"{RUN.spec.key}.json"


def test_what_is_kept_is_found_by_its_spec_alone(store: RunStore) -> None:
    assert store.find(RUN.spec) is None
    store.keep(RUN)
    assert store.find(RUN.spec) == RUN
    assert store.find(small_spec("d", seed=9)) is None


def test_a_test_accuracy_answers_for_none_and_is_not_lost(store: RunStore) -> None:
    store.keep(RUN)
    assert store.find(RUN.spec, test=True) is None
    store.keep(TESTED)
    assert store.find(RUN.spec, test=True) == store.find(RUN.spec) == TESTED
    store.keep(RUN)
    assert store.find(RUN.spec) == TESTED


@pytest.mark.parametrize("content", ["", "{", '{"result": 1}', "[]"])
def test_what_is_damaged_is_not_found(content: str, store: RunStore, tmp_path: Path) -> None:
    store.keep(RUN)
    path_of(tmp_path).write_text(content)
    assert store.find(RUN.spec) is None
    store.keep(RUN)
    assert store.find(RUN.spec) == RUN


def test_a_run_under_another_ones_name_is_not_found(store: RunStore, tmp_path: Path) -> None:
    store.keep(RUN)
    other = small_spec("d", seed=9)
    path_of(tmp_path).rename(path_of(tmp_path).with_name(f"{other.key}.json"))
    assert store.find(other) is None


def test_runs_of_another_engine_or_processor_are_others(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep(RUN)
    for name, value in (("ENGINE_VERSION", 10**6), ("processor", lambda: "another")):
        with monkeypatch.context() as patch:
            patch.setattr(f"lr_ceiling.mnist.version.{name}", value)
            assert RunStore(tmp_path).find(RUN.spec) is None
    assert RunStore(tmp_path).find(RUN.spec) == RUN


def test_a_network_is_found_as_it_was_left(store: RunStore) -> None:
    store.keep(RUN)
    assert store.find(RUN.spec, model=True) is None
    store.model_path(RUN.spec).write_bytes(b"weights")
    store.keep(RUN, model=True)
    assert store.find(RUN.spec, model=True) == RUN
    store.model_path(RUN.spec).write_bytes(b"others")
    assert store.find(RUN.spec, model=True) is None
    assert store.find(RUN.spec) == RUN


def test_commands_that_keep_one_run_at_once_leave_it_whole(tmp_path: Path) -> None:
    # The command `train` and the command `claims` may have the same run in progress.
    def keep(_: int) -> bool:
        store = RunStore(tmp_path)
        write_bytes(store.model_path(TESTED.spec), b"weights" * 1000)
        store.keep(TESTED, model=True)
        return store.find(TESTED.spec, test=True, model=True) == TESTED

    with ThreadPoolExecutor(4) as commands:
        assert all(commands.map(keep, range(100)))
    assert len(list(path_of(tmp_path).parent.iterdir())) == 2
