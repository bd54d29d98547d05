"""A registered model whose MLmodel would run code, or is none."""

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from lr_ceiling import tracking
from lr_ceiling.errors import RegistryError
from lr_ceiling.live.artifact import MAX_BYTES, check_artifact
from lr_ceiling.live.registry import Registry, load
from registering import promote

OURS: dict[str, Any] = {
    "keras": {"data": "data", "save_exported_model": False},
    "python_function": {"loader_module": "mlflow.keras", "env": {"virtualenv": "python_env.yaml"}},
}


def write(folder: Path, flavors: object) -> None:
    with (folder / "MLmodel").open("w") as file:
        YAML(typ="safe").dump({"flavors": flavors}, file)


def test_what_the_project_logs_may_be_loaded(tmp_path: Path) -> None:
    write(tmp_path, OURS)
    check_artifact(tmp_path)


@pytest.mark.parametrize(
    ("flavor", "changes"),
    [
        ("python_function", {"loader_module": "antigravity"}),
        ("python_function", {"loader_module": None}),
        ("python_function", {"loader_module": ["mlflow.keras"]}),
        ("python_function", {"code": "code"}),
        ("python_function", {"model_code_path": "model.py"}),
        ("python_function", {"data": "../.."}),
        ("python_function", {"config": {}}),
        ("keras", {"data": "../../other"}),
        ("keras", {"save_exported_model": True}),
    ],
)
def test_code_of_its_own_is_refused(
    flavor: str, changes: dict[str, object], tmp_path: Path
) -> None:
    write(tmp_path, OURS | {flavor: OURS[flavor] | changes})
    with pytest.raises(RegistryError, match="its MLmodel"):
        check_artifact(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"flavors: 3",
        b"flavors: {keras: 1, python_function: 2}",
        b"flavors: !!python/object/apply:os.system [touch built]",
        b"flavors: " + b"[" * 1_500,
        b"\xff\x00",
        b"#" * (MAX_BYTES + 1),
    ],
    ids=lambda content: content[:12].decode("latin-1"),
)
def test_what_is_no_mlmodel_is_told(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MLmodel").write_bytes(content)
    with pytest.raises(RegistryError, match="its MLmodel"):
        check_artifact(tmp_path)
    assert not (tmp_path / "built").exists()


@pytest.mark.parametrize(
    "content", ["a: &a {x: 1}\nb: {<<: [*a, *a]}", "a: &a [x]\nb: {x: *a, x: *a}", "a: &a [*a]"]
)
def test_an_mlmodel_whose_aliases_may_grow_without_end_is_refused(
    content: str, tmp_path: Path
) -> None:
    write(tmp_path, OURS)
    with (tmp_path / "MLmodel").open("a") as file:
        file.write(content)
    with pytest.raises(RegistryError, match="its MLmodel has aliases"):
        check_artifact(tmp_path)


def test_a_module_that_a_version_names_is_not_imported(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracking.open_store() as store:
        registry = Registry(store, "digits")
        promote(store, registry, 0)
        live = registry.at("champion")
    assert live
    monkeypatch.syspath_prepend(project)
    (project / "foreign.py").write_text("open('imported', 'w')")
    path = Path(live.source) / "MLmodel"
    path.write_text(path.read_text().replace("mlflow.keras", "foreign"))
    with pytest.raises(RegistryError, match=r"names the loader 'foreign', not mlflow\.keras"):
        load(tracking.store_uri(), "digits", 1)
    assert not (project / "imported").exists()
