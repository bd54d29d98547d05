"""The database and the registry's versions, held against one another and the record."""

import shutil
from pathlib import Path

import filelock
import pytest

from lr_ceiling import tracking
from lr_ceiling.live.registry import Registry
from lr_ceiling.pipeline.integrity.store import check_store
from registering import promote


def test_a_lost_model_is_found_under_another_name(project: Path) -> None:
    with tracking.open_store() as store:
        registry = Registry(store, "digits")
        for seed in (0, 1):
            promote(store, registry, seed)
        live = registry.at("champion")
    assert live
    assert check_store("digits").faults == []
    shutil.rmtree(live.source)
    (fault,) = check_store("digits").faults
    assert "models:/digits/2 can't be loaded" in fault.what
    assert f"cp data/models/cell/seed-1.keras {live.source}/data/model.keras" in fault.mending
    shutil.rmtree("data/models")
    (fault,) = check_store("digits").faults
    assert "`lr-ceiling rollback`" in fault.mending


def test_a_damaged_database_is_kept(project: Path) -> None:
    database = project / "mlruns" / "mlflow.db"
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    database.write_bytes(content)
    (fault,) = check_store("digits").faults
    assert fault.what.startswith(f"{database} is damaged (")
    assert fault.mending.startswith("keep it")


def test_a_store_that_is_busy_is_no_fault(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lr_ceiling.tracking.connection.LOCK_SECONDS", 0.01)
    lock = project / "mlruns" / "mlflow.lock"
    with filelock.FileLock(lock):
        part = check_store("digits")
    assert part.faults == []
    assert part.notes == [
        f"the versions of digits are not checked, since another process has held {lock} for 0.01 s:"
        " check again when it has ended"
    ]


def test_a_store_that_is_not_there_yet_is_no_fault(project: Path) -> None:
    shutil.rmtree(project / "mlruns")
    assert check_store("digits").faults == []
    (project / "state").mkdir()
    (project / "state" / "promotion.json").write_text('{"live": 2}')
    (fault,) = check_store("digits").faults
    assert "version 2 of digits was live in the registry" in fault.what
    # It looks, and makes nothing.
    assert not (project / "mlruns").exists()
    (project / "state" / "promotion.json").write_text("{")
    (fault,) = check_store("digits").faults
    assert fault.what.endswith("promotion.json can't be read")
