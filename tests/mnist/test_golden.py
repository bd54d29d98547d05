"""The engine's arithmetic is that of its version, to the byte.

Results are kept by the engine's version, which is raised by hand: here is what tells when.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist import engine
from lr_ceiling.mnist.version import ENGINE_VERSION, LIBRARIES
from mnist.record_golden import FILE, judgements, measure, place

engine.configure()

GOLDEN: dict[str, Any] = read_json(FILE)
CHANGED = (
    "the arithmetic changed: raise ENGINE_VERSION in src/lr_ceiling/mnist/version.py "
    "and record anew by `python tests/mnist/record_golden.py`"
)
# Between kinds of processors: with oneDNN held to AVX2 or SSE4.1, or switched off, the mean loss of
# 25 steps differed by 1.1e-4 at most. (After 30 steps rounding had grown to 0.016.)
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return measure(tmp_path_factory.mktemp("golden"))


def test_the_records_are_of_this_engine() -> None:
    assert GOLDEN["engine"] == ENGINE_VERSION, (
        f"recorded was engine {GOLDEN['engine']}, this is {ENGINE_VERSION}: record anew by "
        "`python tests/mnist/record_golden.py`"
    )


def test_the_judge_says_what_was_recorded() -> None:
    assert judgements() == GOLDEN["judgements"], CHANGED
    labels = {label for *_, label, ended in GOLDEN["judgements"] for label in (label, ended)}
    assert labels >= {"stable", "slow", "dead", "exploded", "diverged"}


def test_each_arm_gives_the_recorded_bytes(measured: dict[str, dict[str, Any]]) -> None:
    recorded = GOLDEN["records"].get(place())
    if recorded is None:
        pytest.skip(f"no record of {place()}: `python tests/mnist/record_golden.py` makes one")
    digests = {arm: found["digest"] for arm, found in measured.items()}
    assert digests == {arm: known["digest"] for arm, known in recorded.items()}, CHANGED


def test_each_arm_s_loss_is_that_of_any_processor(measured: dict[str, dict[str, Any]]) -> None:
    for recorded in GOLDEN["records"].values():
        assert measured.keys() == recorded.keys()
        for arm, known in recorded.items():
            assert abs(measured[arm]["loss"] - known["loss"]) < TOLERANCE, f"{arm}: {CHANGED}"


def test_what_the_lock_installs_has_been_recorded() -> None:
    lock = (Path(__file__).parents[2] / "requirements.txt").read_text()
    for library in LIBRARIES:
        locked = re.findall(rf"^{library}==([^ ;]+)", lock, flags=re.MULTILINE)
        versions = set(re.findall(rf"{library} ([^,]+)", ", ".join(GOLDEN["records"])))
        assert versions & set(locked), (
            f"the lock has {library} {' or '.join(locked)}, recorded was {', '.join(versions)}: "
            "record anew by `python tests/mnist/record_golden.py`"
        )
