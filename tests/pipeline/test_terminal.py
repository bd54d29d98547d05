"""What is printed where there is no terminal: plain lines, whole rows."""

import os
import pty
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from conftest import small_run
from lr_ceiling.pipeline import terminal


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
        "batchnorm-relu: 500 of 1,000 steps, to go 40 s",
        "batchnorm-relu: 1,000 of 1,000 steps, done",
    ]


def test_a_search_that_goes_on_tells_where_it_stands_and_the_most_it_may_take(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with terminal.step_progress("search", 50_000, taken=10_000, may_end_early=True) as progress:
        progress.steps(10_000)
        for standing, taken in (("1 trial done", 12_000), ("2 trials done", 38_000)):
            now[0] += 600
            progress.stands(f"{standing}, lr90 between 0.001 and 0.03")
            progress.steps(taken)
    # 2,000 steps of this search in 600 s leave 38,000, that is 11,400 s.
    assert capsys.readouterr().out.splitlines() == [
        "search: 1 trial done, lr90 between 0.001 and 0.03; 12,000 of 50,000 steps, "
        "to go at most 3 h 10 min",
        "search: 2 trials done, lr90 between 0.001 and 0.03; 38,000 of 50,000 steps, "
        "to go at most 9 min",
    ]


def test_steps_for_later_stages_are_told_apart_and_count_for_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with terminal.step_progress("relu", 1000, taken=200) as progress:
        show = progress.of("relu")
        for steps in (
            # Before the first own step there is no pace to tell.
            {"tanh": 50},
            {"relu": 400, "tanh": 1200},
            {"relu": 800, "tanh": 2000, "elu": 500},
            {"relu": 800, "elu": 9000},
        ):
            now[0] += 40
            show(steps)
    assert capsys.readouterr().out.splitlines() == [
        "relu: 600 of 1,000 steps, to go 80 s; 1,200 steps for later stages",
        "relu: 1,000 of 1,000 steps, done; 2,500 steps for later stages",
        "relu: 1,000 of 1,000 steps, done; 9,000 steps for later stages",
    ]


def test_what_later_stages_need_has_its_own_time_to_go_where_it_is_waited_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with terminal.step_progress("relu", 1000) as progress:
        progress.expect(5000)
        show = progress.of("relu")
        for steps in ({"relu": 400, "tanh": 100}, {"relu": 1000, "tanh": 2000, "elu": 1000}):
            now[0] += 100
            show(steps)
    assert capsys.readouterr().out.splitlines() == [
        "relu: 400 of 1,000 steps, to go 2 min; 100 of 5,000 steps for later stages, "
        "all to go at most 18 min",
        "relu: 1,000 of 1,000 steps, done; 3,000 of 5,000 steps for later stages, "
        "all to go at most 2 min",
    ]


def test_a_table_keeps_its_rows_whole(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [small_run(seed=4_000_000_000), small_run(label="dead", test_accuracy=None)]
    terminal.print_runs("batchnorm-relu", runs)
    printed = capsys.readouterr().out
    assert "baseline relu lr=0.003 seed=4000000000 " in printed
    assert "never" in printed


def test_accuracy_is_that_of_the_weights_with_what_was_saved_beside_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [small_run(validation_accuracy=0.61, reestimated_accuracy=0.97), small_run(seed=1)]
    terminal.print_runs("runs", runs)
    lines = [line for line in capsys.readouterr().out.splitlines() if "lr=0.003" in line]
    assert [cell.strip() for cell in lines[0].split("│")[3:5]] == ["0.9700", "0.6100"]
    assert [cell.strip() for cell in lines[1].split("│")[3:5]] == ["0.9500", "-"]


@click.command()
@terminal.quiet_option
def chatty() -> None:
    terminal.print_runs("runs", [small_run()])
    with terminal.step_progress("steps", total=10) as progress:
        progress.say("half way")


def test_quiet_prints_nothing_and_lasts_for_one_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chatty.main(["--quiet"], standalone_mode=False)
    assert capsys.readouterr().out == ""
    chatty.main([], standalone_mode=False)
    assert "half way" in capsys.readouterr().out
    assert "--quiet" in CliRunner().invoke(chatty, ["--help"]).output


BAR = """
from lr_ceiling.pipeline.terminal import step_progress
with step_progress("steps", total=10, may_end_early=True) as progress:
    progress.stands("2 trials done, lr90 between 0.01 and 0.1")
    progress.of("own")({"own": 5, "other": 1200})
    progress.say("half way")
"""


@pytest.mark.parametrize("coloured", [True, False])
def test_a_terminal_has_a_bar_in_colour_unless_no_color_is_set(coloured: bool) -> None:
    ours, theirs = pty.openpty()
    # The variables by which a terminal, or a colour, is told in tests and in CI.
    kept = {name: value for name, value in os.environ.items() if "COLOR" not in name}
    environment = kept | {"TERM": "xterm-256color"} | ({} if coloured else {"NO_COLOR": "1"})
    process = subprocess.Popen([sys.executable, "-c", BAR], stdout=theirs, env=environment)
    os.close(theirs)
    shown = b""
    # Reading a terminal that nobody writes to any more is an error on Linux.
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"half way" in shown
    assert b"to go at most" in shown
    assert b"2 trials done, lr90 between 0.01 and 0.1; 1,200 steps for later stages" in shown
    assert b"5/10" in shown
    assert "━".encode() in shown
    assert (b"\x1b[38;5;" in shown) == coloured
