"""The SQLite database: older, newer and damaged ones."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from alembic import command
from mlflow.store.db import utils as database_utils
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase

from logged import log_train, make_run
from lr_ceiling import tracking
from lr_ceiling.errors import TrackingError
from lr_ceiling.tracking import Logged


def make_older(project: Path) -> Path:
    """A database that lacks the last migration."""
    path = project / "mlruns" / "mlflow.db"
    path.unlink()
    engine = database_utils.create_sqlalchemy_engine_with_retry(  # type: ignore[no-untyped-call]
        f"sqlite:///{path}"
    )
    InitialBase.metadata.create_all(engine)
    config = database_utils._get_alembic_config(  # type: ignore[no-untyped-call]
        str(engine.url)
    )
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head-1")
    engine.dispose()
    return path


def test_a_database_of_an_older_mlflow_is_migrated_and_kept(project: Path) -> None:
    path = make_older(project)
    before = path.read_bytes()
    assert log_train(project, make_run()) == Logged(1, 0)
    (kept,) = path.parent.glob("mlflow-before-*.db")
    with contextlib.closing(sqlite3.connect(kept)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    assert len(kept.read_bytes()) == len(before)
    assert not list(path.parent.glob("*.partial"))


def test_an_older_database_that_another_program_writes_to_is_left_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lr_ceiling.tracking.database.BUSY_SECONDS", 0.1)
    path = make_older(project)
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(TrackingError, match="end the program that writes to it"),
            tracking.open_store(),
        ):
            pass
    assert not list(path.parent.glob("mlflow-before-*.db"))


def test_a_damaged_database_is_told_in_one_line(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "mlruns" / "mlflow.db").write_text("this is no database")
    with pytest.raises(TrackingError, match="file is not a database"), tracking.open_store():
        pass
    assert capfd.readouterr().err == ""


def test_a_database_of_a_newer_mlflow_is_told_in_one_line(project: Path) -> None:
    with contextlib.closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    with pytest.raises(TrackingError, match="keep it, since") as error, tracking.open_store():
        pass
    assert "\n" not in str(error.value)


def test_a_fault_within_a_call_is_one_line(
    project: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with contextlib.closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        database.execute("DROP TABLE datasets")
        database.commit()
    with pytest.raises(TrackingError, match=r"failed: \(sqlite3\.OperationalError\) no such table"):
        log_train(project, make_run())
    # MLflow would tell it with a traceback, and SQLAlchemy the statement.
    assert capfd.readouterr().err == ""
    assert not caplog.records
