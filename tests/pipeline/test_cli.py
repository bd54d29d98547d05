"""The command line: help without heavy imports, one-line errors, every command with an example."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lr_ceiling.pipeline.cli import COMMANDS, GROUPS, install, main

ROOT = Path(__file__).parents[2]


def test_help_lists_every_command_with_its_example() -> None:
    text = " ".join(CliRunner().invoke(main, ["--help"]).output.split())
    for name, entry in COMMANDS.items():
        assert f"{name}: {entry.summary} {entry.example}" in text


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from lr_ceiling.pipeline.cli import main; "
        "main(['--help'], standalone_mode=False); "
        "print(sorted(name for name in sys.modules if '.' not in name), file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"tensorflow", "mlflow", "optuna", "pandas", "numpy", "pydantic", "rich", "matplotlib"}
    assert not heavy & set(re.findall(r"'(\w+)'", shown.stderr))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_ends_with_an_example_that_it_takes(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert COMMANDS[name].example in " ".join(shown.output.split())
    command = main.get_command(click.Context(main), name)
    assert command
    program, called, *arguments = shlex.split(COMMANDS[name].example)
    assert (program, called) == ("lr-ceiling", name)
    command.make_context(name, arguments)


def test_an_extra_that_a_python_is_too_new_for_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install("pipeline") == "the extra pipeline: pip install 'lr-ceiling[pipeline]'"
    plot = install("plot")
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    assert install("pipeline").endswith("'lr-ceiling[pipeline]', with Python below 3.14")
    assert install("keras").endswith("'lr-ceiling[keras]', with Python below 3.14")
    assert install("plot") == plot


def test_commands_are_listed_by_what_they_are_for() -> None:
    shown = CliRunner().invoke(main, ["--help"]).output
    places = [shown.index(f"{title}:") for title in GROUPS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("name", "said"),
    [("tain", "'tain': did you mean train"), ("zzz", "'zzz': --help lists them")],
)
def test_an_unknown_command_is_named_with_those_alike(name: str, said: str) -> None:
    shown = CliRunner().invoke(main, [name])
    assert shown.exit_code == 2
    assert f"There is no command {said}" in shown.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("train SPLITS --variant baseline --activation relux --learning-rate 1", "activation"),
        ("train SPLITS --variant base --activation relu --learning-rate 1", "variant is 'base'"),
        ("train SPLITS --variant baseline --activation relu --learning-rate -1", "learning_rate"),
        ("train SPLITS --variant baseline --activation relu --learning-rate nan", "learning_rate"),
        ("search x.npz --variant base --activation relu", "--variant is 'base'"),
        ("search SPLITS --variant baseline --activation relux", "activation is 'relux'"),
        ("compare --splits SPLITS --activation relu --learning-rate 1 --epochs 0", "epochs is 0"),
        ("compare --splits x.npz --activation relu --learning-rate 1", "x.npz"),
        ("train x.npz --variant baseline --activation relu --learning-rate 1", "x.npz"),
        ("search x.npz --variant baseline --activation relu", "x.npz"),
        (
            "report --train x --search x --theory x --validation x --verification x "
            "--claims x --output out",
            "x is missing",
        ),
    ],
)
def test_what_a_user_got_wrong_is_one_line_before_any_work(
    arguments: str, said: str, small_splits: Path, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    arguments = arguments.replace("SPLITS", str(small_splits))
    if arguments.startswith("train"):
        arguments += " --output out --models models --state state"
    if arguments.startswith("search"):
        arguments += f" --audit {ROOT}/reports/audit.json --output out --state state"
    shown = subprocess.run(
        [sys.executable, "-m", "lr_ceiling.pipeline.cli", *arguments.split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert shown.returncode == 1
    assert re.fullmatch(rf"error: .*{re.escape(said)}.*\n", shown.stderr), shown.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"params.yaml"}
