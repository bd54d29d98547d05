"""A store without a champion, where a record says that there was one."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from lr_ceiling import tracking
from lr_ceiling.errors import RegistryError
from lr_ceiling.live import last_known
from lr_ceiling.live.registry import Registry
from lr_ceiling.pipeline.commands import promote, registry, rollback, serve


@pytest.fixture
def empty(project: Path) -> Iterator[Registry]:
    with tracking.open_store() as store:
        yield Registry(store, "lr-ceiling")


def write(**record: object) -> None:
    last_known.path().parent.mkdir()
    last_known.path().write_text(json.dumps(record))


def test_nobody_knows_of_a_champion(empty: Registry) -> None:
    last_known.check(empty)
    write(live=None, decision="refused")
    last_known.check(empty)


def test_a_refusal_beside_a_lost_champion_leaves_it_known(empty: Registry) -> None:
    write(live=3, model="lr-ceiling", registry="sqlite:////a.db")
    known = last_known.champions()
    last_known.path().write_text(
        json.dumps({"live": None, "champions": {n: c.model_dump() for n, c in known.items()}})
    )
    assert last_known.champion("lr-ceiling") == known["lr-ceiling"]
    with pytest.raises(RegistryError, match="version 3 was live in"):
        last_known.check(empty)


def test_a_champion_of_another_name_is_none_of_this_one(empty: Registry) -> None:
    write(live=3, model="digits", registry="sqlite:////a.db")
    last_known.check(empty)


@pytest.mark.parametrize(
    "record",
    # The second as the first edition wrote it.
    [{"live": 3, "model": "lr-ceiling", "registry": "sqlite:////a.db"}, {"live": 3}],
)
def test_a_champion_that_was_live_is_missed(empty: Registry, record: dict[str, object]) -> None:
    write(**record)
    with pytest.raises(RegistryError) as error:
        last_known.check(empty)
    assert f"no champion in {empty.place}, but version 3 was live in " in str(error.value)
    assert str(record.get("registry", "the registry")) in str(error.value)


@pytest.mark.parametrize("content", ["{", "[]", "{}", "3", ""])
def test_a_damaged_record_may_have_named_one(empty: Registry, content: str) -> None:
    write()
    last_known.path().write_text(content)
    with pytest.raises(RegistryError, match="can't be read"):
        last_known.check(empty)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(promote, []), (registry, []), (rollback, []), (serve, ["--port", "0"])],
    ids=["promote", "registry", "rollback", "serve"],
)
def test_no_command_takes_another_store_for_a_new_one(
    command: object, arguments: list[str], project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(live=3, model="lr-ceiling", registry=f"sqlite:///{project}/mlruns/mlflow.db")
    before = last_known.path().read_bytes()
    (project / "other").mkdir()
    (project / "mlruns" / "mlflow.db").rename(project / "other" / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other/mlflow.db")
    shown = CliRunner().invoke(command.main, arguments)  # type: ignore[attr-defined]
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: lr-ceiling has no champion in sqlite:///")
    assert "version 3 was live in" in shown.stderr
    assert shown.stderr.count("\n") == 1
    assert last_known.path().read_bytes() == before
