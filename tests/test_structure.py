"""The structure itself: who imports whom, and that dvc.yaml, params.yaml and the commands agree."""

import ast
import re
from functools import cache
from pathlib import Path

import grimp
import pytest
from ruamel.yaml import YAML

from lr_ceiling.pipeline import ahead
from lr_ceiling.pipeline.cli import COMMANDS
from lr_ceiling.pipeline.params import Params

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lr_ceiling"
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
# What no result depends on. Work ahead is for later stages, which check what they find; a cluster's
# runs are those of this machine; temporary folders are empty at first; words and figures are for
# people, and `report` alone makes results of them.
OBSERVERS = {
    "execution.admission",
    "execution.cluster",
    "execution.progress",
    "execution.provenance",
    "execution.remote",
    "execution.scratch",
    "pipeline.ahead",
    "pipeline.cli",
    "pipeline.cluster",
    "pipeline.terminal",
    "tracking",
}
OBSERVERS_BUT_OF_REPORT = {"report.figures", "report.words"}
HOMES = {
    "tensorflow": {
        "evidence.range_tests",
        "evidence.theory",
        "mnist",
        "problems.keras_data",
        "problems.keras_feed",
        "problems.keras_run",
    },
    "keras": {
        "live.predictor",
        "mnist",
        "problems.batch_norm",
        "problems.keras_feed",
        "problems.keras_run",
        "problems.stability_monitor",
    },
    "distributed": {"execution.cluster"},
    "mlflow": {"live.registry", "live.serving", "tracking"},
    "matplotlib": {"report.figures", "search.figure"},
    "optuna": {"execution.driver", "execution.journal", "search", "simulation.peers"},
    "great_expectations": {"evidence.validation.expectations"},
    "rich": {"execution.progress", "pipeline.terminal"},
    "PIL": {"live.picture"},
    "dvc": {"pipeline.commands.pull"},
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(
        "lr_ceiling",
        include_external_packages=True,
        exclude_type_checking_imports=True,
        cache_dir=None,
    )


@cache
def named_in(module: str) -> frozenset[str]:
    """The modules of ours that a module names in strings, to be imported later."""
    tree = ast.parse(MODULES[module].read_text())
    strings = {
        str(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and re.fullmatch(r"lr_ceiling(\.\w+)+", str(node.value))
    }
    return frozenset(name.removeprefix("lr_ceiling.") for name in strings)


def ours_of(module: str) -> set[str]:
    """The modules of ours that a module imports, inside functions too, or names in strings."""
    full = f"lr_ceiling.{module}" if module else "lr_ceiling"
    imported = graph().find_modules_directly_imported_by(full)
    names = {name.removeprefix("lr_ceiling.") for name in imported if name.startswith("lr_ceiling")}
    return {name for name in names | named_in(module) if name in MODULES and name}


def is_in(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def closure_of(module: str, without: set[str]) -> set[str]:
    """All of ours that a module imports, and what these do; nothing through `without`."""
    seen: set[str] = set()
    todo = {module}
    while todo:
        seen |= todo
        found = set().union(*map(ours_of, todo)) - seen
        todo = {name for name in found if not is_in(name, without)}
    rooms = {".".join(name.split(".")[:end]) for name in seen for end in range(name.count(".") + 1)}
    return seen | rooms | {""}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_that_are_named_in_strings_exist(module: str) -> None:
    assert named_in(module) <= set(MODULES)


@pytest.mark.parametrize(("library", "homes"), HOMES.items())
def test_heavy_libraries_have_their_homes(library: str, homes: set[str]) -> None:
    users = (
        {
            name.removeprefix("lr_ceiling.")
            for name in graph().find_modules_that_directly_import(library)
        }
        if library in graph().modules
        else set()
    )
    assert {name for name in users if not is_in(name, homes)} == set()
    assert {home for home in homes if not any(is_in(name, {home}) for name in users)} == set()


@pytest.mark.parametrize("room", sorted({name.partition(".")[0] for name in MODULES} - {""}))
def test_a_room_says_what_it_is_for_and_imports_nothing_to_say_it(room: str) -> None:
    tree = ast.parse(MODULES[room].read_text())
    assert ast.get_docstring(tree)
    # What an eager room imports would be in the closure of every stage that enters it. MLflow's is
    # in none.
    if MODULES[room].name == "__init__.py" and room != "tracking":
        assert not ours_of(room)


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage: str) -> None:
    observers = OBSERVERS | (set() if stage == "report" else OBSERVERS_BUT_OF_REPORT)
    closure = closure_of(f"pipeline.stages.{stage}", without=observers)
    needed = {MODULES[module] for module in closure}
    if stage == "report":
        needed |= set(PACKAGE.glob("report/templates/*"))
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith("src/")]
    listed: set[Path] = set()
    for dep in declared:
        path = ROOT / dep
        # A folder stands where a stage needs all that is in it.
        files = {file for file in path.rglob("*") if file.is_file() and file.suffix != ".pyc"}
        listed |= files if path.is_dir() else {path}
    assert listed == needed
    assert "requirements.txt" in STAGES[stage]["deps"]


@pytest.mark.parametrize("stage", STAGES)
def test_stages_declare_the_params_they_read(stage: str) -> None:
    tree = ast.parse(MODULES[f"pipeline.stages.{stage}"].read_text())
    if stage == "search":
        tree.body += ast.parse(MODULES["pipeline.arms"].read_text()).body
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in Params.model_fields
        and (isinstance(node.value, ast.Call) or getattr(node.value, "id", "") == "values")
    }  # fmt: skip
    declared = {name.partition(".")[0] for name in STAGES[stage]["params"]}
    # No result depends on where runs execute.
    assert read - {"workers"} == declared


def test_work_ahead_knows_the_files_of_the_stages_it_works_for() -> None:
    search = STAGES["search"]["cmd"].split()
    assert search[search.index("--audit") + 1] == str(ahead.AUDIT)
    assert search[search.index("--state") + 1] == str(ahead.STUDIES)
    theory = STAGES["theory"]["cmd"].split()
    assert theory[theory.index("--state") + 1] == str(ahead.THEORY)


def test_stages_are_modules_and_commands() -> None:
    modules = {path.stem for path in (PACKAGE / "pipeline" / "stages").glob("[!_]*.py")}
    commands = {path.stem for path in (PACKAGE / "pipeline" / "commands").glob("[!_]*.py")}
    assert modules == set(STAGES)
    assert {entry.module for entry in COMMANDS.values()} == (
        {f"stages.{name}" for name in modules} | {f"commands.{name}" for name in commands}
    )
    assert all(entry.module.endswith(f".{name}") for name, entry in COMMANDS.items())
    assert all(
        STAGES[name]["cmd"].split()[2] == f"lr_ceiling.pipeline.stages.{name}" for name in STAGES
    )


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_cached_output(stage: str) -> None:
    # Else it is skipped on a fresh clone, where git brings all its outputs.
    assert any(isinstance(out, str) for out in STAGES[stage]["outs"])


def test_every_module_has_its_tests_in_its_room() -> None:
    tests = {path.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    lacking = set()
    for name in MODULES:
        room, _, module = name.rpartition(".")
        if not module or MODULES[name].name == "__init__.py":
            continue
        places = {
            Path(room.partition(".")[0]) / f"test_{module}{kind}.py"
            for kind in ("", "_command", "_stage")
        }
        if not places & tests:
            lacking.add(name)
    assert lacking == set()


def test_params_and_their_sections_agree() -> None:
    text = (ROOT / "params.yaml").read_text()
    assert set(YAML(typ="safe").load(text)) == set(Params.model_fields)
