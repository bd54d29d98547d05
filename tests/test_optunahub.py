"""The sampler in the form of OptunaHub's registry."""

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import optuna
import pytest
from ruamel.yaml import YAML

import lr_ceiling
import optunahub
from wheels import ROOT

REGISTRY = ROOT / "optunahub" / "package"
FOLDER = REGISTRY / "samplers" / "ceiling"
README = (FOLDER / "README.md").read_text()
# What the registry's own template asks for.
FIELDS = {"author", "title", "description", "tags", "optuna_versions", "license"}


@pytest.fixture
def module() -> Iterator[ModuleType]:
    yield optunahub.load_local_module("samplers/ceiling", registry_root=str(REGISTRY))
    del sys.modules["optunahub_registry.package.samplers.ceiling"]


def test_it_has_the_registrys_files_and_front_matter() -> None:
    there = {path.name for path in FOLDER.iterdir() if path.name != "__pycache__"}
    assert there == {"LICENSE", "README.md", "__init__.py", "example.py", "requirements.txt"}
    assert (FOLDER / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    _, front, _ = README.split("---\n", 2)
    told: dict[str, Any] = YAML(typ="safe").load(front)
    assert set(told) == FIELDS
    assert "sampler" in told["tags"]
    assert told["license"] == "MIT License"
    assert optuna.__version__ in told["optuna_versions"]


def test_its_page_names_what_the_sampler_takes(module: ModuleType) -> None:
    (listed,) = re.findall(r"`CeilingSampler\(\*, (.*?)\)`", README)
    taken = list(inspect.signature(module.CeilingSampler).parameters)
    assert [argument.partition("=")[0] for argument in listed.split(", ")] == taken


def test_a_study_runs_with_it(module: ModuleType) -> None:
    assert module.CeilingSampler is lr_ceiling.CeilingSampler
    sampler = module.CeilingSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(
        lambda trial: trial.suggest_float("rate", 1e-3, 10, log=True) < 0.05, n_trials=12
    )
    low, high = module.ceiling_of(study).lr90.ci95
    assert low < 0.05 < high


def test_its_example_runs(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The hub itself is a repository on the network; this is its copy here.
    monkeypatch.setattr(optunahub, "load_module", lambda package: module)
    code = compile((FOLDER / "example.py").read_text(), "example.py", "exec")
    exec(code, {"__name__": "__main__"})
    # Without confirming seeds lr90 may be in doubt, which the line then says.
    answer = r"trains up to \S+ \(\S+ to \S+\)(?:, if any learning rate [^;]+)?; 15 trials\n"
    assert re.fullmatch(answer, capsys.readouterr().out)
