"""The structure itself: who imports whom, and that dvc.yaml, params.yaml and the commands agree."""

import ast
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lr_ceiling import batch
from lr_ceiling.cli import COMMANDS
from lr_ceiling.params import Params

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "lr_ceiling"
PIPELINE = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]
# In this order alone: a module imports what stands before it.
LAYERS = [
    ["errors", "digits"],
    ["runs"],
    ["terminal"],
    ["params"],
    ["dataset"],
    ["network"],
    ["outcome"],
    ["training"],
    ["theory", "finders"],
    ["workers"],
    ["batch"],
    ["picture"],
    ["facts"],
    ["posterior"],
    ["sampler"],
    ["ceiling"],
    ["course"],
    ["study"],
    ["plan"],
    ["simulation"],
    ["initialisation"],
    ["comparison", "verification"],
    ["claims"],
    ["promotion"],
    ["tracking"],
    ["registry"],
    ["predicting"],
    ["gate", "serving"],
    ["retraining"],
    ["webui"],
    ["figures"],
    ["page"],
    ["stages", "commands"],
    ["cli"],
]
# What no result depends on; `report` alone makes results of figures.
OBSERVERS = {"tracking", "terminal", "facts", "cli", "figures"}
HOMES = {
    "tensorflow": {"finders", "network", "theory", "training"},
    "keras": {"network", "predicting", "training"},
    "mlflow": {"registry", "serving", "tracking", "webui"},
    "matplotlib": {"figures"},
    "optuna": {"sampler", "simulation", "study"},
    "great_expectations": {"stages.validate"},
    "rich": {"terminal"},
    "PIL": {"picture"},
    "dvc": set(),
}


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in PACKAGE.rglob("*.py")}


def imports_of(path: Path) -> set[str]:
    """All that a module imports, inside functions too, by full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path.name} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours_of(module: str) -> set[str]:
    """The modules of ours that a module imports."""
    names = {
        name.removeprefix("lr_ceiling.")
        for name in imports_of(MODULES[module])
        if name.startswith("lr_ceiling.")
    }
    # `from lr_ceiling.runs import RunSpec` names a module or a member of one.
    return {name if name in MODULES else name.rpartition(".")[0] for name in names} - {""}


def closure_of(module: str, without: set[str]) -> set[str]:
    """All of ours that a module imports, and what these do; nothing through `without`."""
    seen, todo = set(), {module}
    while todo:
        seen |= todo
        todo = set().union(*map(ours_of, todo)) - seen - without
    packages = {name.partition(".")[0] for name in seen if "." in name}
    return seen | packages | {""}


def layer_of(module: str) -> int:
    head = module.partition(".")[0]
    return next(number for number, layer in enumerate(LAYERS) if head in layer)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {""}))
def test_imports_point_one_way(module: str) -> None:
    for imported in ours_of(module):
        assert layer_of(imported) < layer_of(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_that_are_named_in_strings_exist(module: str) -> None:
    named = {
        node.value
        for node in ast.walk(ast.parse(MODULES[module].read_text()))
        if isinstance(node, ast.Constant) and str(node.value).startswith("lr_ceiling.")
    }
    assert named <= {f"lr_ceiling.{name}" for name in MODULES} | {"lr_ceiling."}


@pytest.mark.parametrize(("library", "homes"), HOMES.items())
def test_heavy_libraries_have_one_home(library: str, homes: set[str]) -> None:
    users = {
        module
        for module, path in MODULES.items()
        if any(name.partition(".")[0] == library for name in imports_of(path))
    }
    assert users == homes


@pytest.mark.parametrize("stage", STAGES)
def test_deps_are_the_import_closure(stage: str) -> None:
    observers = OBSERVERS - ({"figures"} if stage == "report" else set())
    closure = closure_of(f"stages.{stage}", without=observers)
    needed = {str(MODULES[module].relative_to(ROOT)) for module in closure} | {"requirements.txt"}
    if stage == "report":
        needed |= {str(path.relative_to(ROOT)) for path in PACKAGE.glob("templates/*")}
        # The page names the digest of the engine's code.
        needed |= {str(MODULES[module].relative_to(ROOT)) for module in batch.MODULES}
    declared = {dep for dep in STAGES[stage]["deps"] if not dep.startswith(("data/", "reports/"))}
    assert declared == needed


@pytest.mark.parametrize("stage", STAGES)
def test_stages_declare_the_params_they_read(stage: str) -> None:
    tree = ast.parse(MODULES[f"stages.{stage}"].read_text())
    read = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in Params.model_fields
        and (isinstance(node.value, ast.Call) or getattr(node.value, "id", "") == "values")
    }  # fmt: skip
    declared = {name.partition(".")[0] for name in STAGES[stage]["params"]}
    # No result depends on where runs execute.
    assert read - {"workers"} == declared


def test_stages_are_modules_and_commands() -> None:
    modules = {path.stem for path in (PACKAGE / "stages").glob("[!_]*.py")}
    commands = {path.stem for path in (PACKAGE / "commands").glob("[!_]*.py")}
    assert modules == set(STAGES)
    assert {entry.module for entry in COMMANDS.values()} == (
        {f"stages.{name}" for name in modules} | {f"commands.{name}" for name in commands}
    )
    assert all(entry.module.endswith(f".{name}") for name, entry in COMMANDS.items())
    assert all(STAGES[name]["cmd"].split()[2] == f"lr_ceiling.stages.{name}" for name in STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_cached_output(stage: str) -> None:
    # Else it is skipped on a fresh clone, where git brings all its outputs.
    assert any(isinstance(out, str) for out in STAGES[stage]["outs"])


def test_every_module_has_its_tests() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests").glob("test_*.py")}
    modules = {name.rpartition(".")[2] for name in MODULES} - {"", "stages", "commands"}
    assert modules - tested == set()


def test_params_and_their_sections_agree() -> None:
    text = (ROOT / "params.yaml").read_text()
    assert set(YAML(typ="safe").load(text)) == set(Params.model_fields)
