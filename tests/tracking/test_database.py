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


def test_a_database_of_an_older_mlflow_is_migrated(project: Path) -> None:
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
    assert log_train(project, make_run()) == Logged(1, 0)


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
    with pytest.raises(TrackingError, match="move mlruns/ away") as error, tracking.open_store():
        pass
    assert "\n" not in str(error.value)
