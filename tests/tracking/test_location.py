"""Where the store is: every spelling of a URI, and what no store can be."""

from pathlib import Path

import pytest

from lr_ceiling import tracking
from lr_ceiling.errors import TrackingError
from lr_ceiling.tracking.location import database_of, is_same, store_uri

NAMED = "MLFLOW_TRACKING_URI"


@pytest.mark.parametrize(
    ("named", "uri"),
    [
        ("sqlite:///x.db", "sqlite:///{root}/x.db"),
        ("sqlite:///./runs/x.db", "sqlite:///{root}/runs/x.db"),
        ("sqlite:///x.db?timeout=30", "sqlite:///{root}/x.db?timeout=30"),
        ("sqlite+pysqlite:///x.db", "sqlite+pysqlite:///{root}/x.db"),
        ("SQLite:///x.db", "sqlite:///{root}/x.db"),
        (" sqlite:////abs/x.db\n", "sqlite:////abs/x.db"),
        ("HTTP://host:5000", "http://host:5000"),
        ("postgresql://me:secret@host/runs", "postgresql://me:secret@host/runs"),
        ("databricks", "databricks"),
        ("", "sqlite:///{root}/mlruns/mlflow.db"),
    ],
    ids=str,
)
def test_a_file_is_named_from_the_projects_root_wherever_a_stage_runs(
    named: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "stage"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv(NAMED, named)
    assert store_uri() == uri.format(root=tmp_path)


def test_a_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "100%20 of it?#"))
    monkeypatch.delenv(NAMED, raising=False)
    assert database_of(store_uri()) == tmp_path / "100%20 of it?#" / "mlruns" / "mlflow.db"


def test_a_database_is_the_file_without_its_options(tmp_path: Path) -> None:
    assert database_of("sqlite:////abs/x.db?timeout=30") == Path("/abs/x.db")
    assert database_of("http://host") is None


def test_two_spellings_are_one_place() -> None:
    assert is_same("sqlite:////abs/x.db", "sqlite:////abs/./x.db?timeout=30")
    assert is_same("http://host:5000/", "http://host:5000")
    assert not is_same("sqlite:////abs/x.db", "sqlite:////abs/y.db")
    assert not is_same("http://host:5000", "sqlite:////abs/y.db")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("sqlite://", "three slashes"),
        ("sqlite:///", "keeps nothing"),
        ("sqlite:///:memory:", "keeps nothing"),
        ("sqlite://x.db", "three slashes"),
        ("sqlite:x.db", "three slashes"),
        ("sqlite:///file:x.db?uri=true", "name the file itself"),
        ("mlruns", "in a folder"),
        ("./mlruns", "in a folder"),
        ("file:mlruns", "in a folder"),
        ("file:///abs/mlruns", "in a folder"),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_can_be_no_store_is_told_with_its_remedy(
    named: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(NAMED, named)
    with pytest.raises(TrackingError, match=said) as error, tracking.open_store():
        pass
    assert str(error.value).startswith(f"MLFLOW_TRACKING_URI is {named}: ")
    assert "sqlite:///" in str(error.value)
    assert "\n" not in str(error.value)
    assert not tracking.mirror(lambda store: store.pages())
    warning = capfd.readouterr().err
    assert warning.count("\n") == 1
    # It would not be sent later: waiting mends nothing.
    assert warning.endswith("; `lr-ceiling log` sends it once that is mended\n")


@pytest.mark.parametrize(
    "named", ["htp://host", "postgresql://me:secret@127.0.0.1:9/runs", "http://"]
)
@pytest.mark.usefixtures("project")
def test_every_fault_of_a_store_is_one_line(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMED, named)
    with pytest.raises(TrackingError) as error, tracking.open_store() as store:
        store.pages()
    assert str(error.value).startswith("MLflow at ")
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_options_of_a_database_are_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAMED, "sqlite:///mlruns/mlflow.db?timeout=30")
    with tracking.open_store() as store:
        assert store.pages() == []
    assert {path.name for path in (project / "mlruns").iterdir()} == {"mlflow.db", "mlflow.lock"}


def test_a_folder_of_runs_that_mlflow_was_told_to_allow_is_one_place(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv(NAMED, "file:runs")
    assert store_uri() == f"file://{project}/runs"
