"""dvc.lock belongs to this commit: made of this code, this lock and these params.

Outputs are not compared, since another kind of processor may give others; but what is committed of
them is that of dvc.lock.
"""

import hashlib
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
YAML_READER = YAML(typ="safe", pure=True)
PARAMS = YAML_READER.load((ROOT / "params.yaml").read_text())
PIPELINE = YAML_READER.load((ROOT / "dvc.yaml").read_text())["stages"]
LOCK: dict[str, Any] = YAML_READER.load((ROOT / "dvc.lock").read_text())["stages"]
MADE = {out["path"] for entry in LOCK.values() for out in entry["outs"]}


def names_of(stage: str) -> list[str]:
    lists = [
        PARAMS["grid"][source.removeprefix("${grid.").removesuffix("}")]
        for source in PIPELINE[stage].get("matrix", {}).values()
    ]
    keys = ["-".join(map(str, values)) for values in product(*lists)]
    return [f"{stage}@{key}" if key else stage for key in keys]


def test_every_stage_is_locked_and_nothing_else() -> None:
    assert set(LOCK) == {name for stage in PIPELINE for name in names_of(stage)}


@pytest.mark.parametrize("name", LOCK)
def test_a_stage_was_made_of_this_code_and_these_params(name: str) -> None:
    entry = LOCK[name]
    declared = {dep for dep in PIPELINE[name.partition("@")[0]]["deps"] if is_source(dep)}
    locked = {dep["path"]: dep["md5"] for dep in entry["deps"] if is_source(dep["path"])}
    assert locked == {path: md5_of(ROOT / path) for path in declared}
    for key, value in entry["params"]["params.yaml"].items():
        current: Any = PARAMS
        for part in key.split("."):
            current = current[part]
        assert current == value, key


def test_the_page_in_docs_is_the_one_that_the_report_stage_wrote() -> None:
    """`make tables` copies it."""
    (written,) = (out for out in LOCK["report"]["outs"] if out["path"] == "reports/index.html")
    assert md5_of(ROOT / "docs" / "report.html") == written["md5"]


def md5_of(path: Path) -> str:
    """A file's or a folder's hash as DVC has it; bytecode is ignored."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = [file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc"]
    entries = [
        {"md5": md5_of(file), "relpath": file.relative_to(path).as_posix()} for file in files
    ]
    listed = json.dumps(sorted(entries, key=lambda entry: entry["relpath"]), sort_keys=True)
    return f"{hashlib.md5(listed.encode(), usedforsecurity=False).hexdigest()}.dir"


def is_source(path: str) -> bool:
    return not path.startswith("data/") and path not in MADE
