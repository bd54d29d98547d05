"""The pipeline's workers: as many as params say, ended with DVC."""

import importlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from conftest import is_alive
from lr_ceiling.execution import executor
from lr_ceiling.pipeline.workers import workers
from tasks import Square
from waiting import wait_until


def test_one_a_core_unless_params_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lr_ceiling.pipeline.workers.cores", lambda: 7)
    with workers(None) as runner:
        assert runner.free == 7
    with workers(3) as runner:
        assert runner.free == 3
    assert executor.POLL < 1


def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path: Path) -> None:
    stage = textwrap.dedent(
        """
        import os, pathlib, sys, time
        from lr_ceiling.pipeline.workers import workers
        with workers(1):
            pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
            time.sleep(60)
        """
    )
    (tmp_path / "stage.py").write_text(stage)
    started = tmp_path / "started"
    # The parent, which is killed, stands for DVC.
    dvc = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"
    parent = subprocess.Popen(
        [sys.executable, "-c", dvc, str(tmp_path / "stage.py"), str(started)],
        env=os.environ | {"DVC_ROOT": str(tmp_path)},
    )
    assert wait_until(lambda: started.exists() and bool(started.read_text()))
    process = int(started.read_text())
    assert is_alive(process)
    parent.kill()
    parent.wait()
    assert wait_until(lambda: not is_alive(process))


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_is_needed_later_is_imported_while_tasks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needed_later.py").write_text("")
    (tmp_path / "broken_later.py").write_text("raise ValueError")
    imported: list[tuple[int, bool]] = []

    def on_steps(steps: Mapping[str, int]) -> None:
        imported.append((sum(steps.values()), "needed_later" in sys.modules))

    with workers(1, on_steps, ["needed_later"]) as runner:
        assert "needed_later" not in sys.modules
        runner.execute([Square(3, wait=1.2)])
    # Not before the first steps, and not as late as the end.
    assert not any(found for steps, found in imported if steps == 0)
    assert imported[-1][1]
    with workers(1, needed_later=["broken_later"]) as runner:
        runner.execute([Square(3)])
    with pytest.raises(ValueError):  # noqa: PT011
        importlib.import_module("broken_later")
