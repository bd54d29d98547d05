"""The quick part of `make faults`: the layer itself, and a sample of points that must hold."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from faults.campaign import Point, Tally
from faults.report import ReliabilityReport

# In a process with the layer: what each fault makes of a file that is written twice.
PROBE = """
import sys
from pathlib import Path
from faults import inject
from lr_ceiling.execution.files import write_text
if not inject.preloaded():
    inject.start_anew(Path(sys.argv[1]))
folder = Path(sys.argv[1]) / "project"
folder.mkdir()
quiet = inject.attempt(lambda: write_text(Path("a"), "old"), folder)
kinds = [one.kind for one in quiet.operations]
print(*kinds)
for fault in (*inject.FAULTS[1:], inject.POWER_CUT):
    for at, kind in enumerate(kinds, 1):
        (folder / "a").write_text("old")
        tried = inject.attempt(lambda: write_text(Path("a"), "new"), folder, fault, at)
        print(fault, at, kind, tried.code, (folder / "a").read_text(), sep="|")
"""
# An unguarded write: the layer must be able to find what is wrong.
CARELESS = """
import sys
from pathlib import Path
from faults import inject
if not inject.preloaded():
    inject.start_anew(Path(sys.argv[1]))
folder = Path(sys.argv[1]) / "project"
folder.mkdir()
def careless(): Path("a").write_text("new" * 9)
for fault in inject.FAULTS[1:]:
    (folder / "a").write_text("old")
    print(inject.attempt(careless, folder, fault, 2).code, (folder / "a").read_text())
(folder / "a").write_text("old")
print(inject.attempt(careless, folder, inject.POWER_CUT, 2).code, (folder / "a").read_text())
"""


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("the layer of faults is compiled by a C compiler, and there is none")
    return tmp_path


def python(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_file_that_is_written_is_old_or_new_whatever_fails(layer: Path) -> None:
    first, *rows = python("-c", PROBE, str(layer)).stdout.splitlines()
    assert first == "create create create write fsync rename fsync"
    found = {tuple(row.split("|")[:2]): row.split("|")[3:] for row in rows}
    assert len(found) == 6 * 7
    assert {content for _, content in found.values()} == {"old", "new"}
    # What fails before the rename leaves the old file; after it the new one is there for good.
    assert found["disk full from there on", "6"] == ["3", "old"]
    assert found["I/O error", "5"] == ["3", "old"]
    assert found["torn write, then killed", "4"] == ["-9", "old"]
    assert found["killed before", "6"] == ["-9", "old"]
    assert found["killed after", "6"] == ["-9", "new"]
    # The rename itself is sure only when the folder was synced.
    assert found["power cut after", "6"] == ["-9", "old"]
    assert found["power cut after", "7"] == ["-9", "new"]


def test_the_layer_finds_a_careless_write(layer: Path) -> None:
    shown = python("-c", CARELESS, str(layer)).stdout.splitlines()
    assert shown == [
        "4 ",
        # Closing the file, Python tries once more.
        f"4 {'new' * 9}",
        "-9 newnewnewnewn",
        "-9 ",
        f"-9 {'new' * 9}",
        "-9 ",
    ]


@pytest.mark.parametrize(
    "asked", ["--stage fetch --stage train --stage report --every 20", "--stage search --every 80"]
)
def test_a_sample_of_points_holds(asked: str, layer: Path) -> None:
    output, tally = layer / "reliability.json", layer / "tally.jsonl"
    arguments = [*asked.split(), "--output", str(output), "--tally", str(tally)]
    arguments += ["--kills", "0", "--no-disks"]
    shown = python("-m", "faults", *arguments)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    report = ReliabilityReport.read(output)
    assert sum(row.tried for row in report.faults) >= 8
    assert all(row.held == row.tried for row in report.faults)
    # It goes on from its tally: nothing is tried twice.
    lines = tally.read_text()
    assert python("-m", "faults", *arguments).returncode == 0
    assert tally.read_text() == lines


def test_what_did_not_hold_is_counted(tmp_path: Path) -> None:
    tally = Tally(tmp_path / "tally.jsonl")
    tally.add(Point("train", "write", "I/O error", 3), None)
    tally.add(Point("train", "write", "I/O error", 4), "half-written")
    again = Tally(tmp_path / "tally.jsonl")
    assert Point("train", "write", "I/O error", 4) in again
    assert again.rows == [{"fault": "I/O error", "point": "train: write", "tried": 2, "held": 1}]
    assert len(again.broken) == 1


def test_the_committed_report_lost_nothing(tmp_path: Path) -> None:
    path = ROOT / "reports" / "reliability.json"
    report = ReliabilityReport.read(path)
    assert report.faults
    assert all(row.held == row.tried for row in report.faults)
    again = tmp_path / path.name
    report.write(again)
    assert again.read_text() == path.read_text()
