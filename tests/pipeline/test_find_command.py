"""`lr-ceiling find`: a problem from a file, and what is wrong with it in one line."""

import json
from pathlib import Path

import pytest

from conftest import run_command
from lr_ceiling.pipeline.commands import find

PROBLEM = """
from neighbour import EDGE

def problem(learning_rate, seed):
    return 0.95 if learning_rate < EDGE else 0.1

broken = 7
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "neighbour.py").write_text("EDGE = 0.1\n")
    (tmp_path / "mine.py").write_text(PROBLEM)
    (tmp_path / "faulty.py").write_text("import nothing_of_this_name\n")
    return tmp_path


def run_find(folder: Path, *arguments: str) -> str:
    return run_command(find.main, folder, *arguments, "--low", "1e-3", "--high", "1")


def test_the_answer_is_a_line_and_a_file(folder: Path) -> None:
    printed = run_find(
        folder, "mine.py:problem", "--target", "0.9", "--json", "answer.json", "--quiet",
        "--budget", "8",
    )  # fmt: skip
    answer = json.loads((folder / "answer.json").read_text())
    assert printed.splitlines()[-1].startswith("trains up to ")
    assert answer["lr90"]["ci95"][0] < 0.1
    assert answer["trials"] <= 8


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("mine.py", r"error: .*mine\.py.* names no problem: write FILE\.py:NAME or MODULE:NAME"),
        ("mine.py:other", r"error: mine\.py has no 'other': it has .*problem"),
        ("yours.py:problem", r"error: yours\.py"),
        ("faulty.py:problem", r"error: faulty\.py can't be imported: ModuleNotFoundError: "),
        ("mine.py:broken", r"error: the problem is a int: give a KerasProblem, or a function"),
        ("mine.py:problem", r"error: the problem returned the score .*: say with target= from"),
    ],
)
def test_what_is_wrong_is_one_line(named: str, told: str, folder: Path) -> None:
    with pytest.raises(SystemExit, match=told):
        run_find(folder, named, "--quiet")
