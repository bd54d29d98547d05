"""The tutorial's commands, run in a fresh clone on small budgets, print what the page says.

Numbers may differ, words and structure not: both are held against one another as `shape` has them.
"""

import difflib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import ROOT, SMALL_PIPELINE, keep_work, run_command
from lr_ceiling.pipeline.cli import main
from smoke import OUTSIDE, change_params, run, search_path
from waiting import WAIT_SECONDS

PAGE = ROOT / "docs" / "tutorial.md"
# Where the page's reader has the project.
HOME = "/home/you/lr-ceiling"
# What is too long for a test, and what would set up an environment anew.
SHORTER = {
    "make data/splits.npz": "dvc repro validate",
    "make ui": "lr-ceiling ui --port 0",
    "--epochs 1": "--epochs 1 --steps-per-epoch 10",
    # What `small_pipeline` has trained.
    "steps_per_epoch=600": f"steps_per_epoch={SMALL_PIPELINE['training']['steps_per_epoch']}",
    "learning_rates=[0.03]": f"learning_rates={SMALL_PIPELINE['grid']['learning_rates']}",
    "train.seeds=[0]": f"train.seeds={SMALL_PIPELINE['train']['seeds']}",
    "search.budget_runs.default=8": "search.budget_runs.default=2",
}
# Run in this process, where the server of its workers has imported TensorFlow.
WITH_TENSORFLOW = ("lr-ceiling compare ", "lr-ceiling predict ")
ANYTHING = "..."
PROGRESS = re.compile(
    r": its weights are sound"
    r"|: .*[\d,]+ of [\d,]+ steps, (to go |done)|( trial \d+|, ahead): lr "
)
# In this order: what stands for what may be another thing each time.
STAND_INS = (
    (r"https?://\S+", "URL"),
    (r"[─-╿]+", " "),
    (r"\b(?=[a-f]*\d)[0-9a-f]{7}\b", "COMMIT"),
    (r"\d\d:\d\d [AP]M", "TIME"),
    (r"(?<![\w.])[-+]?\d[\d.,]*(e[-+]?\d+)?%?", "#"),
    (r"(?<=\w)\d+", "#"),
    (r"(?<=\s)(-|never|!)(?=\s|$)", "#"),
    (r"\?", "#"),
    (r"\b(stable|diverged|exploded|dead|lost|slow)\b", "LABEL"),
    (r"# LABEL(, # LABEL)*", "LABELS"),
    (r"up to\s+(not bounded|(at (least|most) )?#( \(# to #\))?)", "up to RATE"),
    (r"# of # at # to #", "# of # at #"),
    (r"the interval is narrow enough|the budget is spent", "REASON"),
    # `dvc exp show` leaves out the column of an arm that has no ceiling in any row.
    (r"\barms\.\S+(\s+arms\.\S+)*", "ARMS"),
    (r"#(\s+#)+", "#"),
)
CEILINGS = (
    r"lr# \(# interval # to #\)",
    r"lr# is at (least|most) #: the trials don't bound it from (above|below)",
    r"lr# is not bounded by so few trials",
    r"no learning rate is LABEL with probability #",
    r"no trainable learning rate",
)


class Step(NamedTuple):
    """A command of the page and the output that stands below it."""

    command: str
    output: str


def steps_of(page: str) -> list[Step]:
    """The commands of a page's console blocks; a command goes on after a backslash."""
    blocks = re.findall(r"^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", "".join(blocks), re.MULTILINE)
    return [Step(command.replace("\\\n", " "), output) for command, output in commands]


def shape(printed: str) -> list[str]:
    """The lines of an output without what may differ, of equal neighbours one.

    Lines of progress are left out: on a terminal they are a bar that goes away. So are those of
    single trials, which are printed by the stage that runs them, its own or one before it.
    """
    lines = []
    for line in printed.splitlines():
        if PROGRESS.search(line):
            continue
        for pattern, stand_in in STAND_INS:
            line = re.sub(pattern, stand_in, line)
        line = re.sub("|".join(CEILINGS), "CEILING", line)
        lines.append(" ".join(line.split()))
    return [line for line, _ in groupby(filter(None, lines))]


def fits(told: str, printed: str) -> bool:
    """Whether an output has the shape that the page tells; `...` there is any number of lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line == ANYTHING else re.escape(line) + r"\n" for line in shape(told)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in shape(printed))) is not None


def difference(told: str, printed: str) -> str:
    """Both shapes as a diff, for people."""
    return "\n".join(difflib.ndiff(shape(told), shape(printed)))


STEPS = steps_of(PAGE.read_text())


@pytest.fixture(scope="module")
def clone(small_pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A fresh clone of the project as it lies here, committed or not, with short trainings.

    Those of the experiment are done already.
    """
    folder = tmp_path_factory.mktemp("tutorial") / "lr-ceiling"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # What else is small, the experiment's own command sets.
    others = {name: SMALL_PIPELINE[name] for name in ("splits", "training", "search", "workers")}
    change_params(folder, others)
    keep_work(small_pipeline, folder)
    run(folder, "git", "init", "--quiet", "--initial-branch", "main")
    run(folder, "git", "config", "user.name", "reader")
    run(folder, "git", "config", "user.email", "reader@example.org")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "The project")
    yield folder
    shutil.rmtree(folder)


def shortened(command: str) -> str:
    for long, short in SHORTER.items():
        command = command.replace(long, short)
    return command


def printed_by(command: str, folder: Path, mnist: Path) -> str:
    """What a command of the page prints in `folder`; a server is stopped as soon as it is ready."""
    if command.startswith(WITH_TENSORFLOW):
        printed = run_command(main, folder, *shlex.split(command)[1:])
        return printed.replace(str(folder), HOME)
    kept = {name: value for name, value in os.environ.items() if name not in OUTSIDE}
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=kept
        | {
            "LR_CEILING_SOURCE": str(mnist),
            # Where the first stage does everything, TensorFlow is imported once.
            "LR_CEILING_AHEAD": "all",
            "PATH": search_path(),
            "PYTHONPATH": str(folder / "src"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    printed = ""
    for line in process.stdout:
        printed += line
        if line.startswith("Ctrl-C"):
            process.send_signal(signal.SIGINT)
    assert process.wait(WAIT_SECONDS) == 0, printed
    return printed.replace(str(folder), HOME)


class Reader:
    """Types the page's commands from the first to the last, whichever test asks first."""

    def __init__(self, folder: Path, mnist: Path) -> None:
        self._folder, self._mnist = folder, mnist
        self._printed: list[str] = []
        self._failed: str | None = None

    def printed_at(self, place: int) -> str:
        """What the command at this place printed, after all before it; none follows a failure."""
        for step in STEPS[len(self._printed) : place + 1]:
            assert self._failed is None, f"not run, since this failed: {self._failed}"
            self._failed = step.command
            command = shortened(step.command)
            self._printed.append(printed_by(command, self._folder, self._mnist))
            self._failed = None
        return self._printed[place]


@pytest.fixture(scope="module")
def reader(clone: Path, mnist_path: Path) -> Reader:
    return Reader(clone, mnist_path)


@pytest.mark.parametrize("place", range(len(STEPS)), ids=[step.command[:40] for step in STEPS])
def test_a_command_prints_what_the_page_says(place: int, reader: Reader) -> None:
    expected, printed = STEPS[place].output, reader.printed_at(place)
    assert fits(expected, printed), difference(expected, printed)


def test_everything_that_is_shortened_is_on_the_page() -> None:
    commands = " ".join(step.command for step in STEPS)
    assert [long for long in SHORTER if long not in commands] == []


TABLE = """
┏━━━━━━━━━┳━━━━━━━━┓
┃ run     ┃  label ┃
┡━━━━━━━━━╇━━━━━━━━┩
│ lr=0.01 │ stable │
└─────────┴────────┘
the page: reports/index.html
"""


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"0.01 │ stable": "3e-05 │   dead"}, True),
        ({"the page": "train: 5 of 10 steps, to go 3 s\nthe page"}, True),
        ({"│ lr=0.01": "│ lr=0.03 │ slow │\n│ lr=0.01"}, True),
        ({"label": "state"}, False),
        ({"the page: reports/index.html\n": ""}, False),
        ({"the page": "a warning\nthe page"}, False),
    ],
    ids=["values", "progress", "more rows", "another word", "a line less", "a line more"],
)
def test_words_and_structure_count_and_numbers_do_not(
    changes: dict[str, str], expected: bool
) -> None:
    printed = TABLE
    for old, new in changes.items():
        assert old in printed
        printed = printed.replace(old, new)
    assert fits(TABLE, printed) == expected


def test_the_columns_are_those_of_arms_that_have_a_ceiling() -> None:
    told = """
     Experiment   arms.baseline-relu.lr90   arms.batchnorm-relu.lr90   training.epochs
     workspace                    0.0154                          -   3
    """
    printed = "Experiment arms.batchnorm-relu.lr90 training.epochs\nworkspace 0.5 1\n"
    assert fits(told, printed)
    assert not fits(told, "Experiment training.epochs\nworkspace 1\n")


def test_dots_stand_for_any_lines() -> None:
    assert fits("first\n...\nlast\n", "first\nanother\nand another\nlast\n")
    assert fits("first\n...\nlast\n", "first\nlast\n")
    assert not fits("first\n...\nlast\n", "first\nanother\n")


def test_a_page_is_read_command_by_command() -> None:
    page = "text\n```console\n$ one \\\n    --two\n1\n$ three\n```\ntext\n```sh\n$ not run\n```\n"
    assert steps_of(page) == [Step("one      --two", "1\n"), Step("three", "")]
