"""The wheel alone: what a newcomer installs, without the extras, and what it says of them."""

import re
import shutil
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from lr_ceiling.pipeline.cli import COMMANDS
from wheels import ROOT, call

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NEEDED = {"click", "cloudpickle", "filelock", "numpy", "optuna", "rich", "scipy", "threadpoolctl"}

FIND = """
from lr_ceiling import find_ceiling

def train(learning_rate, seed):
    return learning_rate < 0.03

ceiling = find_ceiling(train, low=1e-3, high=1, budget=4, storage="search.journal")
print(ceiling)
"""


@pytest.fixture
def python(installed: tuple[Path, Path]) -> Path:
    return installed[1]


def test_the_wheel_holds_the_package_and_asks_for_little(installed: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(installed[0]) as wheel:
        names = wheel.namelist()
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(wheel.read(metadata))
    ours = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "lr_ceiling").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    assert {name for name in names if ".dist-info/" not in name} == ours
    asked = told.get_all("Requires-Dist")
    assert asked
    core = {re.split(r"[<>=]", line)[0] for line in asked if "extra ==" not in line}
    assert core == NEEDED
    assert told["Requires-Python"] == ">=3.11"
    assert set(told.get_all("Provides-Extra") or ()) == {"plot", "keras", "cluster", "pipeline"}


def test_the_librarys_tests_need_nothing_else(python: Path, tmp_path: Path) -> None:
    """Workflows run them on other systems, in an environment of the wheel and these."""
    site = Path(pytest.__file__).parents[1]
    names = "pytest _pytest py.py pluggy iniconfig packaging pygments hypothesis sortedcontainers"
    for name in [*names.split(), *(path.name for path in site.glob("_hypothesis_*.py"))]:
        (tmp_path / name).symlink_to(site / name)
    command = [str(python), "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    # Options may name plugins that are not there.
    settings = {"PYTHONPATH": str(tmp_path), "PYTEST_ADDOPTS": ""}
    shown = call([*command, "@tests/library.txt"], ROOT, settings).stdout
    assert re.search(r"\b\d{3}/\d+ tests collected", shown), shown


def test_the_lock_has_the_pipelines_tensorflow() -> None:
    (bound,) = PROJECT["tool"]["uv"]["override-dependencies"]
    assert (
        f"{bound} ; python_version < '3.14'"
        in (PROJECT["project"]["optional-dependencies"]["pipeline"])
    )


def test_a_search_says_the_same_twice_and_uses_all_that_the_wheel_asks_for(
    python: Path, tmp_path: Path
) -> None:
    (tmp_path / "first.py").write_text(FIND)
    first = call([str(python), "first.py"], tmp_path)
    told = re.fullmatch(r"trains up to 0\.0\d+ \(\S+ to \S+\); (\d+) trials\n", first.stdout)
    assert told
    assert first.stderr.count("search trial ") == int(told[1]) >= 4
    (tmp_path / "search.journal").unlink()
    listed = (
        "import sys; sys.stderr.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    (tmp_path / "second.py").write_text(f"{FIND}\nimport lr_ceiling.pipeline.cli\n{listed}")
    second = call([str(python), "second.py"], tmp_path)
    assert second.stdout == first.stdout
    assert set(second.stderr.splitlines()[-1].split()) >= NEEDED


def test_a_problem_in_a_file_is_found(python: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def problem(rate, seed):\n    return rate < 0.03\n")
    options = "--low 1e-3 --high 1 --budget 2 --quiet"
    command = [str(python.parent / "lr-ceiling"), "find", "mine.py:problem", *options.split()]
    found = call(command, tmp_path)
    assert found.stdout.startswith("trains up to ")
    assert found.stderr == ""


def test_help_lists_what_is_installed_and_names_the_extra_for_the_rest(
    python: Path, tmp_path: Path
) -> None:
    shown = call([str(python.parent / "lr-ceiling"), "--help"], tmp_path).stdout
    assert f"find: {COMMANDS['find'].summary}" in " ".join(shown.split())
    extras = "".join(
        f"With the extra {name}: pip install .*\n +(?P<{name}>[^:]*?)\n+"
        for name in ("plot", "keras", "cluster", "pipeline")
    )
    told = re.search(f"\n\n{extras}$", shown)
    assert told
    assert told["plot"] == "Ceiling.plot() and Ceiling.trials"
    assert told["keras"] == "KerasProblem and StabilityMonitor"
    assert told["cluster"] == "runs on the workers of a Dask scheduler"
    commands = told["pipeline"].removeprefix("the commands ").replace(",", "").split()
    assert {"find", *commands} == set(COMMANDS)
    assert "dvc" not in shown


@pytest.mark.parametrize("name", ["train", "ui", "predict"])
def test_a_command_of_an_extra_names_it(name: str, python: Path, tmp_path: Path) -> None:
    refused = call([str(python.parent / "lr-ceiling"), name, "--help"], tmp_path, code=1)
    assert refused.stdout == ""
    assert refused.stderr == (
        f"error: {name} needs the extra pipeline: pip install 'lr-ceiling[pipeline]'\n"
    )


@pytest.mark.parametrize(("asked", "library"), [("plot()", "matplotlib"), ("trials", "pandas")])
def test_what_needs_an_extra_names_it(
    asked: str, library: str, python: Path, tmp_path: Path
) -> None:
    code = f"""
import optuna
from lr_ceiling import CeilingSampler, ceiling_of
from lr_ceiling.errors import MissingExtra

study = optuna.create_study(direction="maximize", sampler=CeilingSampler())
study.optimize(lambda trial: trial.suggest_float("rate", 1e-3, 1, log=True) < 0.03, n_trials=2)
try:
    ceiling_of(study).{asked}
except MissingExtra as error:
    print(error)
"""
    shown = call([str(python), "-c", code], tmp_path)
    assert shown.stdout == f"{asked} needs {library}: pip install 'lr-ceiling[plot]'\n"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("StabilityMonitor", "from lr_ceiling import StabilityMonitor"),
        (
            "KerasProblem",
            "from lr_ceiling import KerasProblem\n"
            "    KerasProblem(print, [], validation_data=(), target=1)",
        ),
    ],
)
def test_what_needs_keras_names_its_extra(
    name: str, code: str, python: Path, tmp_path: Path
) -> None:
    script = f"""
from lr_ceiling.errors import MissingExtra
try:
    {code}
except MissingExtra as error:
    print(error)
"""
    shown = call([str(python), "-c", script], tmp_path)
    assert shown.stdout == f"{name} needs keras: pip install 'lr-ceiling[keras]'\n"


def test_the_package_is_imported_without_its_libraries(python: Path, tmp_path: Path) -> None:
    code = "import sys, lr_ceiling; print(sorted(name for name in sys.modules))"
    shown = call([str(python), "-I", "-c", code], tmp_path).stdout
    assert not {name for name in NEEDED if f"'{name}'" in shown}
    assert "'lr_ceiling.find'" not in shown


@pytest.mark.parametrize("version", [(3, 10), (3, 14)])
def test_make_refuses_a_python_that_the_pipeline_can_not_use(
    version: tuple[int, int], tmp_path: Path
) -> None:
    other = tmp_path / "python"
    says = f"import sys; sys.version_info = (*{version}, 0); exec(sys.argv[1])"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{says}" "$2"\n')
    other.chmod(0o755)
    for path in (ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("requirements*.txt")):
        shutil.copy(path, tmp_path)
    there = set(tmp_path.iterdir())
    told, made = call(["make", f"PYTHON={other}", "wheel"], tmp_path, code=2).stderr.splitlines()
    assert told == (
        f"error: Python is {version[0]}.{version[1]}: 3.11 to 3.13 is needed; name one by "
        "make PYTHON=python3.12"
    )
    assert made.startswith("make: ***")
    assert set(tmp_path.iterdir()) == there
