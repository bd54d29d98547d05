"""What is printed where there is no terminal: plain lines, whole rows."""

import pytest

from conftest import small_run
from lr_ceiling import terminal


def test_without_a_terminal_progress_is_a_plain_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with terminal.step_progress("batchnorm-relu", total=1000) as progress:
        for taken in (0, 100, 500, 600, 1000):
            progress.steps(taken)
            now[0] += 20
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "batchnorm-relu: 500 of 1000 steps, 40 s to go",
        "batchnorm-relu: 1000 of 1000 steps, 0 s to go",
    ]


def test_a_table_keeps_its_rows_whole(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [small_run(seed=4_000_000_000), small_run(label="dead", test_accuracy=None)]
    terminal.print_runs("batchnorm-relu", runs)
    printed = capsys.readouterr().out
    assert "baseline relu lr=0.003 seed=4000000000 " in printed
    assert "never" in printed
