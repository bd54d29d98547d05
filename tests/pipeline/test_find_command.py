"""`lr-ceiling find`: a problem in a file or a module, its answer, and what is wrong in a line."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest
from click.testing import CliRunner

from lr_ceiling.pipeline.cli import main
from lr_ceiling.pipeline.commands.find import NAME, load_problem
from waiting import wait_until

PROBLEM = """
from __future__ import annotations

from dataclasses import dataclass
from math import inf

from neighbour import EDGE

SIZE = 3


@dataclass
class Net:
    edge: float = EDGE

    def trains(self, rate: float) -> bool:
        return rate < self.edge


def problem(learning_rate, seed):
    return Net().trains(learning_rate)


def score(learning_rate, seed):
    return 1 - learning_rate


def broken(learning_rate, seed):
    return {}["key"]


if __name__ == "__main__":
    raise SystemExit("it is no script here")
"""
ASKED = ("--low", "1e-3", "--high", "1", "--budget", "3")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a problem in a file, which a process of its own would be in."""
    (tmp_path / "mine.py").write_text(PROBLEM)
    (tmp_path / "neighbour.py").write_text("EDGE = 0.03\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("neighbour", NAME):
        sys.modules.pop(name, None)


def refused(*arguments: str) -> str:
    """What is said on stderr, in one line, with exit code 1."""
    done = CliRunner().invoke(main, ["find", *arguments])
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_a_problem_in_a_file_is_searched_twice_alike(folder: Path) -> None:
    asked = ["find", "mine.py:problem", *ASKED]
    asked += ["--storage", "search.journal", "--json", "out/answer.json"]
    command = [sys.executable, "-m", "lr_ceiling.pipeline.cli", *asked]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    said = re.fullmatch(r"trains up to \S+ \(\S+ to \S+\); (\d+) trials\n", first.stdout)
    assert said is not None
    shown = [line for line in first.stderr.splitlines() if line.startswith("search trial ")]
    assert len(shown) == int(said[1]) >= 3
    answer = json.loads((folder / "out" / "answer.json").read_text())
    assert answer["trials"] == len(shown)
    assert first.stdout.startswith(f"trains up to {answer['lr90']['estimate']:.3g} ")
    # Nothing is run again, so nothing is told.
    second = CliRunner().invoke(main, [*asked, "--quiet"])
    assert (second.stdout, second.stderr) == (first.stdout, "")


def test_a_stopped_service_ends_in_one_line_and_continues(folder: Path) -> None:
    (folder / "slow.py").write_text(
        "import time\n\n\ndef problem(rate, seed):\n    time.sleep(0.1)\n    return rate < 0.03\n"
    )
    asked = ["find", "slow.py:problem", *ASKED, "--workers", "1", "--storage", "search.journal"]
    command = [sys.executable, "-m", "lr_ceiling.pipeline.cli", *asked, "--quiet"]
    stopped = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    journal = folder / "search.journal"
    assert wait_until(lambda: journal.exists() and b'"op_code":6' in journal.read_bytes(), 60)
    stopped.send_signal(signal.SIGTERM)
    said = stopped.communicate(timeout=60)
    assert (stopped.returncode, *said) == (1, "", "\nAborted!\n")
    again = CliRunner().invoke(main, [*asked, "--quiet"])
    assert again.exit_code == 0
    assert again.stdout.startswith("trains up to ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--strict"], "--strict is for a cluster: give its --scheduler"),
        (["--time-out", "60"], "--time-out is for a cluster: give its --scheduler"),
        (
            ["--scheduler", "tcp://127.0.0.1:9", "--time-out", "0"],
            "--time-out is 0: it must be above 0 seconds",
        ),
        (["--scheduler", "tcp://127.0.0.1:9"], "no scheduler answers at tcp://127.0.0.1:9 ("),
    ],
)
def test_what_is_wrong_with_a_cluster_is_one_line(
    options: list[str], said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lr_ceiling.execution.cluster.ANSWERS", 0.5)
    assert said in refused("mine.py:problem", "--quiet", *ASKED, *options)


def test_a_score_is_held_against_a_target(folder: Path) -> None:
    shown = [
        CliRunner().invoke(main, ["find", *named, "--quiet", "--workers", "1", *ASKED])
        for named in (["mine.py:problem"], ["mine.py:score", "--target", "0.97"])
    ]
    assert [one.exit_code for one in shown] == [0, 0]
    # Bools have no score that could be lost, and no runs that look for that.
    assert "no accuracy lost up to" not in shown[0].stdout
    assert "no accuracy lost up to" in shown[1].stdout
    assert all(one.stdout.startswith("trains up to ") for one in shown)


def test_a_file_is_imported_as_python_would(folder: Path) -> None:
    problem = load_problem("mine.py:problem")
    # It travels by value, with the class that it uses.
    sent = cloudpickle.dumps(problem)
    code = "import sys, cloudpickle; print(cloudpickle.load(sys.stdin.buffer)(0.01, 0))"
    done = subprocess.run([sys.executable, "-c", code], input=sent, capture_output=True, check=True)
    assert done.stdout == b"True\n"
    assert load_problem("neighbour:EDGE") == 0.03


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("mine.py", "'mine.py' names no problem: write FILE.py:NAME or MODULE:NAME"),
        ("mine.py:", "'mine.py:' names no problem"),
        (":problem", "':problem' names no problem"),
        ("other.py:problem", "other.py is no file"),
        ("no.such.module:problem", "no.such.module can't be imported: ModuleNotFoundError: No mo"),
        ("mine.py:prblem", "mine.py has no 'prblem': it has broken, problem, score"),
        ("neighbour:problem", "neighbour has no 'problem': it has no function and no problem of"),
        ("mine.py:SIZE", "the problem is a int: give a KerasProblem, or a function of a learning"),
        ("mine.py:Net", "the problem is a class Net: give a KerasProblem, or a function"),
        ("wrong.py:problem", "wrong.py can't be imported: SyntaxError: "),
        ("raises.py:problem", "raises.py can't be imported: FileNotFoundError: [Errno 2] no data"),
        ("exits.py:problem", "exits.py can't be imported: SystemExit: enough"),
        ("mine.py:score", "the problem returned the score 0."),
        ("mine.py:broken", "raised KeyError: 'key'"),
    ],
)
def test_what_is_wrong_with_a_problem_is_one_line(named: str, said: str, folder: Path) -> None:
    (folder / "wrong.py").write_text("def problem(:\n")
    (folder / "raises.py").write_text("raise FileNotFoundError(2, 'no data', 'mnist.npz')\n")
    (folder / "exits.py").write_text("raise SystemExit('enough')\n")
    assert said in refused(named, "--quiet", "--workers", "1", *ASKED)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--low 1 --high 0.1", "low is 1 and high is 0.1: they must be"),
        ("--low 0 --high 1", "low is 0 and high is 1"),
        ("--low 0.1 --high 1 --budget 0", "budget is 0: it must be at least 1 full run"),
        ("--low 0.1 --high 1 --interval -1", "interval is -1: it must be above 0 decades"),
        ("--low 0.1 --high 1 --lag 0", "lag is 0: it must be at least 1"),
        ("--low 0.1 --high 1 --workers 0", "workers is 0: it must be at least 1"),
        ("--low 0.1 --high 1 --target nan", "target is nan: it must be a finite number"),
        ("--low 0.1 --high 1 --storage neighbour.py", "neighbour.py is no journal of a search"),
    ],
)
def test_an_impossible_option_is_one_line(options: str, said: str, folder: Path) -> None:
    assert said in refused("mine.py:problem", "--quiet", *options.split())
    assert (folder / "neighbour.py").read_text() == "EDGE = 0.03\n"


def test_an_answer_that_can_not_be_written_is_shown(folder: Path) -> None:
    arguments = ["find", "mine.py:problem", "--json", "mine.py/answer.json", "--quiet", *ASKED]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    assert done.stdout.startswith("trains up to ")
    assert done.stderr.startswith("error: mine.py/answer.json can't be written: ")
