"""A retraining's parts: the week and its seeds, params.yaml, moved ceilings, the summary.

tests/test_retrain.py runs it whole.
"""

import difflib
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import filelock
import pytest

from lr_ceiling.errors import LockedError, ParamsError, PipelineError
from lr_ceiling.live import retraining
from lr_ceiling.live.predictor import Predictor
from lr_ceiling.live.retraining import Outcome, Plan, compare_ceilings
from lr_ceiling.pipeline import params

WEEK = Plan(week="2026-W48", quick=False, seeds=None, force=False)


def arm(lr90: float | None, low: float | None, high: float | None) -> dict[str, Any]:
    return {
        "variant": "baseline",
        "activation": "relu",
        "lr90": {"estimate": lr90, "ci95": [low, high]},
    }


def test_seeds_follow_from_the_week_alone() -> None:
    again = Plan(week="2026-W48", quick=True, seeds=7, force=True)
    other = Plan(week="2026-W49", quick=False, seeds=None, force=False)
    assert WEEK.train_seeds(4) == again.train_seeds(7)[:4]
    assert len({*WEEK.train_seeds(4), *other.train_seeds(4), WEEK.search_seed}) == 9
    assert WEEK.search_seed == again.search_seed != other.search_seed


@pytest.mark.parametrize("week", ["2026-W01", "2026-W53"])
def test_an_iso_week_is_taken(week: str) -> None:
    assert retraining.check_week(week) == week


@pytest.mark.parametrize("week", ["", "2026-48", "2026-W54", "2025-W53", "2026-W0", "0000-W01"])
def test_what_is_no_iso_week_is_named(week: str) -> None:
    with pytest.raises(ParamsError, match=f"^--week is '{week}': it must be an ISO week, such as"):
        retraining.check_week(week)


def test_this_week_is_todays() -> None:
    before = datetime.now(UTC).strftime("%G-W%V")
    assert retraining.this_week() in {before, datetime.now(UTC).strftime("%G-W%V")}


def test_nothing_but_the_seeds_changes_in_params(project: Path) -> None:
    path = project / "params.yaml"
    kept = path.read_text().splitlines()
    retraining.write_seeds(path, [11, 12], 13, None)
    changes = [
        line
        for line in difflib.ndiff(kept, path.read_text().splitlines())
        if line.startswith(("+", "-"))
    ]
    # The file's own seeds are those of any earlier retraining, in a line or in one each.
    assert not [
        line for line in changes if not re.match(r". {3}(seeds:|- |seed:) ?[\[\]\d, ]*$", line)
    ]
    written = params.load(path)
    assert (written.train.seeds, written.search.seed) == ((11, 12), 13)
    retraining.write_seeds(path, [11], 13, 2)
    assert params.load(path).search.budget_runs == {"default": 2}


def test_seeds_that_the_pipeline_would_refuse_are_not_written(project: Path) -> None:
    path = project / "params.yaml"
    kept = path.read_text()
    with pytest.raises(ParamsError):
        retraining.write_seeds(path, [1, 1], 13, None)
    assert path.read_text() == kept
    assert not list(project.glob("*.partial"))


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ((0.01, 0.008, 0.012), (0.02, 0.015, 0.03), True),
        ((0.02, 0.015, 0.03), (0.01, 0.008, 0.012), True),
        ((0.01, 0.008, 0.012), (0.013, 0.011, 0.016), False),
        ((0.01, 0.008, 0.012), (0.015, 0.012, 0.02), False),
        ((0.01, 0.008, None), (10.0, 9.0, 11.0), False),
        ((0.01, None, 0.012), (10.0, 9.0, None), True),
        ((None, None, None), (10.0, 9.0, 11.0), None),
        ((None, None, None), (None, None, None), None),
        ((0.01, 0.008, 0.012), (None, None, None), True),
        ((None, 0.008, None), (None, None, None), True),
        ((None, 0.1, None), (0.01, 0.008, 0.012), True),
        ((0.01, 0.008, 0.012), (None, 0.1, None), True),
        ((0.01, 0.008, 0.012), (None, 0.01, None), False),
        ((None, None, 0.1), (None, 0.05, None), False),
    ],
)
def test_a_ceiling_moved_if_the_intervals_are_disjoint_or_it_is_lost(
    before: tuple[float | None, ...], after: tuple[float | None, ...], moved: bool | None
) -> None:
    (found,) = compare_ceilings([arm(*before)], [arm(*after)])
    assert (found.before, found.after, found.moved) == (before, after, moved)


def test_a_new_arm_has_no_ceiling_before() -> None:
    (found,) = compare_ceilings([], [arm(0.01, 0.008, 0.012)])
    assert (found.arm, found.before, found.moved) == ("baseline-relu", (None, None, None), None)


def test_the_summary_says_what_moved() -> None:
    before, after = arm(0.01, 0.008, 0.012), arm(0.02, 0.015, None)
    outcome = Outcome(
        outcome="refused",
        reason="it is worse",
        week="2026-W48",
        quick=False,
        train_seeds=(5, 6),
        search_seed=7,
        ceiling_moved=True,
        ceilings=tuple(compare_ceilings([before], [after])),
        decision=None,
        commit=None,
        started="2026-11-23T03:17:00+00:00",
        ended="2026-11-23T03:47:00+00:00",
    )
    text = retraining.summary(outcome)
    assert text.startswith("# Retraining of week 2026-W48: refused\n\nit is worse.\n")
    moved = "**Ceilings that moved beyond both intervals, or are not known any more:** "
    assert f"{moved}baseline-relu." in text.splitlines()
    row = "| baseline-relu | 0.01 (0.008 to 0.012) | 0.02 (0.015 to unbounded) | yes |"
    assert row in text.splitlines()


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((0.01, 0.008, 0.012), "0.01 (0.008 to 0.012)"),
        ((0.01, None, 0.012), "0.01 (unbounded to 0.012)"),
        ((None, 0.015, None), "at least 0.015"),
        ((None, 48000.0, None), "at least 48,000"),
        ((None, None, 0.03), "at most 0.03"),
        ((None, 0.015, 0.03), "0.015 to 0.03"),
        ((None, None, None), "not known"),
    ],
)
def test_a_ceiling_is_shown_by_what_is_known_of_it(
    limits: tuple[float | None, float | None, float | None], text: str
) -> None:
    assert retraining._shown(limits) == text


def test_files_that_could_not_be_put_back_are_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # No DVC repository, so that `dvc checkout` fails.
    with retraining._kept():
        (project / "params.yaml").write_text("changed")
    assert params.load(project / "params.yaml")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: data/ could not be put back: `dvc checkout")
    assert line.endswith("; run `dvc checkout --force`")


def test_a_failure_of_dvc_says_what_the_stage_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match=r"^`dvc repro nothing` failed: .*not inside of a DVC"):
        retraining.dvc("repro", "nothing")
    assert "ERROR" in capsys.readouterr().out


def test_our_own_line_is_preferred_to_dvcs() -> None:
    tail = ["> python ...", "error: no source gave MNIST", "ERROR: failed to reproduce", ""]
    assert retraining._fault(tail) == "no source gave MNIST"
    assert retraining._fault(tail[2:]) == "ERROR: failed to reproduce"
    assert retraining._fault([]) == "it said nothing"


def test_dvcs_stages_get_this_environments_python(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    retraining.dvc("init", "--no-scm", "--quiet")
    (project / "dvc.yaml").write_text("stages: {which: {cmd: command -v python, outs: [nothing]}}")
    with pytest.raises(PipelineError):
        retraining.dvc("repro")
    assert f"{Path(sys.executable).parent}{os.sep}python" in capsys.readouterr().out


def test_one_retraining_at_a_time(project: Path) -> None:
    (project / "state").mkdir()
    kept = (project / "params.yaml").read_text()
    with (
        filelock.FileLock(project / "state" / "retrain.lock"),
        Predictor() as predictor,
        pytest.raises(LockedError, match="another retraining holds"),
    ):
        retraining.retrain(WEEK, predictor)
    assert (project / "params.yaml").read_text() == kept
