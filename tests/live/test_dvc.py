"""DVC as a program: what it says when it fails, and which Python its stages get."""

import os
import sys
from pathlib import Path

import pytest

from lr_ceiling.errors import PipelineError
from lr_ceiling.live import dvc


def test_a_failure_of_dvc_says_what_the_stage_said(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PipelineError, match=r"^`dvc repro nothing` failed: .*not inside of a DVC"):
        dvc.run("repro", "nothing")
    assert "ERROR" in capsys.readouterr().out


def test_our_own_line_is_preferred_to_dvcs() -> None:
    tail = ["> python ...", "error: no source gave MNIST", "ERROR: failed to reproduce", ""]
    assert dvc._fault(tail) == "no source gave MNIST"
    assert dvc._fault(tail[2:]) == "ERROR: failed to reproduce"
    assert dvc._fault([]) == "it said nothing"


def test_dvcs_stages_get_this_environments_python(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    dvc.run("init", "--no-scm", "--quiet")
    (project / "dvc.yaml").write_text("stages: {which: {cmd: command -v python, outs: [nothing]}}")
    with pytest.raises(PipelineError):
        dvc.run("repro")
    assert f"{Path(sys.executable).parent}{os.sep}python" in capsys.readouterr().out
