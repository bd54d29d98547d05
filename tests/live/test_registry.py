"""The model registry in a real MLflow store: aliases, rollback, lost files."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from conftest import small_run
from lr_ceiling import tracking
from lr_ceiling.errors import LockedError, LrCeilingError, RegistryError
from lr_ceiling.live.registry import ROLLED_BACK, Registry, load, one_at_a_time
from lr_ceiling.tracking import Store
from registering import promote, put_forward


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    with tracking.open_store() as store:
        yield store


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store, "digits")


def aliases(registry: Registry) -> dict[str, int]:
    return {alias: one.number for one in registry.history() for alias in one.aliases}


def test_an_empty_registry_has_nothing(registry: Registry) -> None:
    assert registry.history() == []
    assert registry.at("champion") is None
    with pytest.raises(RegistryError, match="digits has no previous version to go back to"):
        registry.rollback()


def test_a_promotion_moves_the_aliases(store: Store, registry: Registry) -> None:
    put_forward(store, registry, 0)
    assert aliases(registry) == {"challenger": 1}
    promote(store, registry, 0)
    assert aliases(registry) == {"champion": 1}
    promote(store, registry, 1)
    assert aliases(registry) == {"champion": 2, "previous": 1}
    put_forward(store, registry, 2)
    assert aliases(registry) == {"challenger": 3, "champion": 2, "previous": 1}


def test_a_model_is_registered_once(store: Store, registry: Registry) -> None:
    for _ in range(2):
        put_forward(store, registry, 0)
    assert [version.number for version in registry.history()] == [1]


def test_a_champion_put_forward_again_is_no_challenger(store: Store, registry: Registry) -> None:
    promote(store, registry, 0)
    put_forward(store, registry, 0)
    assert aliases(registry) == {"champion": 1}


def test_a_version_outlives_the_run_that_it_came_from(store: Store, registry: Registry) -> None:
    promote(store, registry, 0)
    # Changed code gives the same run another result: the mirror removes what it had.
    store.log_train("cell", [small_run(seed=0, label="slow")], Path("data/models/cell"))
    champion = registry.at("champion")
    assert champion
    registry.check_file(champion)


def test_a_champion_of_another_machine_is_not_overwritten(store: Store, registry: Registry) -> None:
    promote(store, registry, 0)
    seen = registry.at("champion")
    promote(store, registry, 1)
    put_forward(store, registry, 2)
    challenger = registry.at("challenger")
    assert challenger
    with pytest.raises(RegistryError, match="version 2 of digits went live meanwhile"):
        registry.promote(challenger, seen)
    assert aliases(registry) == {"challenger": 3, "champion": 2, "previous": 1}


def test_a_rollback_swaps_and_undoes_itself(store: Store, registry: Registry) -> None:
    for seed in (0, 1):
        promote(store, registry, seed)
    live, left = registry.rollback()
    assert (live.number, left.number) == (1, 2)
    assert aliases(registry) == {"champion": 1, "previous": 2}
    assert [ROLLED_BACK in version.tags for version in registry.history()] == [False, True]
    registry.rollback()
    assert aliases(registry) == {"champion": 2, "previous": 1}
    assert [ROLLED_BACK in version.tags for version in registry.history()] == [True, False]


@pytest.mark.parametrize(
    ("damage", "said"), [("removed", "can't be loaded"), ("changed", "not what was registered")]
)
def test_a_rollback_to_a_lost_file_changes_nothing(
    damage: str, said: str, store: Store, registry: Registry
) -> None:
    for seed in (0, 1):
        promote(store, registry, seed)
    previous = registry.at("previous")
    assert previous
    if damage == "removed":
        shutil.rmtree(previous.source)
    else:
        (Path(previous.source) / "data" / "model.keras").write_bytes(b"something else")
    with pytest.raises(RegistryError, match=said):
        registry.rollback()
    assert aliases(registry) == {"champion": 2, "previous": 1}


def test_a_crash_before_the_last_write_leaves_the_champion(
    store: Store, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, registry, 0)
    write = MlflowClient.set_registered_model_alias

    def crash(client: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise KeyboardInterrupt
        write(client, name, alias, version)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            promote(store, registry, 1)
    assert aliases(registry) == {"challenger": 2, "champion": 1, "previous": 1}
    with pytest.raises(RegistryError, match="no previous version"):
        registry.rollback()
    promote(store, registry, 1)
    assert aliases(registry) == {"champion": 2, "previous": 1}


def test_a_promotion_that_crashed_once_its_version_was_live_is_finished(
    store: Store, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(store, registry, 0)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "delete_registered_model_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            promote(store, registry, 1)
    assert aliases(registry)["champion"] == 2
    registry.settle()
    assert aliases(registry) == {"champion": 2, "previous": 1}
    # A challenger that is not live stays one.
    put_forward(store, registry, 2)
    registry.settle()
    assert aliases(registry) == {"challenger": 3, "champion": 2, "previous": 1}


@pytest.mark.parametrize("at", ["champion", "previous"])
def test_a_rollback_that_crashed_is_finished_by_the_next(
    at: str, store: Store, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in (0, 1):
        promote(store, registry, seed)
    write = MlflowClient.set_registered_model_alias

    def crash(client: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == at:
            raise KeyboardInterrupt
        write(client, name, alias, version)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", crash)
        with pytest.raises(KeyboardInterrupt):
            registry.rollback()
    live = 2 if at == "champion" else 1
    assert aliases(registry) == {"champion": live, "previous": 1}
    left = registry.history()[1]
    assert registry.rolled_back(left) == left
    registry.rollback()
    assert aliases(registry) == {"champion": 1, "previous": 2}
    registry.rollback()
    assert aliases(registry) == {"champion": 2, "previous": 1}
    assert registry.rolled_back(registry.history()[1]) is None


def test_one_promotion_or_rollback_at_a_time(project: Path) -> None:
    with one_at_a_time(), pytest.raises(LockedError, match="another promotion or rollback holds"):
        one_at_a_time().__enter__()
    with one_at_a_time():
        pass


@pytest.mark.parametrize("named", ["sqlite:///other.db", "http://me:secret@host", "mlruns"])
def test_a_registry_elsewhere_is_refused(
    named: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", named)
    with pytest.raises(LrCeilingError, match="MLFLOW_REGISTRY_URI is ") as error:
        Registry(store, "digits")
    assert "secret" not in str(error.value)


def test_a_registry_in_the_tracking_store_may_be_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "sqlite:///mlruns/mlflow.db?timeout=30")
    assert Registry(store, "digits").history() == []


def test_the_mirror_goes_on_where_the_registry_is_elsewhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    assert tracking.mirror(lambda store: store.log_compare([small_run()]))


def test_a_file_that_is_no_model_is_told_in_one_line(store: Store, registry: Registry) -> None:
    promote(store, registry, 0)
    with pytest.raises(RegistryError, match=r"^models:/digits/1 can't be loaded \(.*\)$"):
        load(tracking.store_uri(), "digits", 1)
