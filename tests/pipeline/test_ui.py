"""`lr-ceiling ui` in a real browser: where it opens, and what people see when they compare."""

import math
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Page, expect

from browser import Watched
from conftest import children_of, is_alive, small_run
from lr_ceiling import tracking
from lr_ceiling.mnist.results import Check, Curve, RunResult
from lr_ceiling.pipeline.commands import ui as command
from waiting import WAIT_SECONDS, wait_until

STEPS = tuple(range(25, 525, 25))
COLOURS = {"baseline": "#d55e00", "batchnorm": "#0072b2"}


def run(variant: str, seed: int, learning_rate: float = 0.01, **changes: Any) -> RunResult:
    falling = tuple((seed + 2) / step for step in STEPS)
    curve = Curve(
        steps=STEPS,
        loss=falling,
        loss_min=falling,
        loss_max=falling,
        accuracy=tuple(1 - loss for loss in falling),
    )
    checks = [Check(step=step, images=500, inference=0.95, training=None) for step in (250, 500)]
    spec = {"variant": variant, "seed": seed, "learning_rate": learning_rate}
    return small_run(**spec, curve=curve, checks=checks, steps=500, **changes)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder with a cell of each variant and a study in MLflow."""
    folder = tmp_path_factory.mktemp("project")
    models = folder / "models"
    models.mkdir()
    for seed in (3, 4):
        (models / f"seed-{seed}.keras").write_bytes(b"no test loads this one")
    trials = folder / "trials.csv"
    trials.write_text("index,learning_rate,label\n0,0.02,stable\n1,0.5,dead\n")
    study = {"variant": "baseline", "activation": "relu", "key": "k", "highest_stable": 0.02}
    study["lr90"] = {"estimate": 0.0123, "ci95": (0.011, None)}
    tried = [
        run("baseline", 10, 0.5, label="dead"),
        run("baseline", 11, 0.02),
        run("baseline", 12, 0.1),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(folder))
        with tracking.open_store() as store:
            for variant in ("baseline", "batchnorm"):
                runs = [run(variant, seed) for seed in (3, 4)]
                store.log_train(f"{variant}-relu-0.01", runs, models)
            store.log_search("baseline-relu", study, tried, [trials])
    return folder


@contextmanager
def ui(project: Path, port: int) -> Iterator[tuple["subprocess.Popen[str]", list[str]]]:
    """The command, and the lines that it printed until it was ready; then it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lr_ceiling.pipeline.cli", "ui", "--port", str(port)],
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        lines = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        yield process, lines
    finally:
        servers = [child for one in children_of(process.pid) for child in (one, *children_of(one))]
        process.kill()
        process.wait()
        assert wait_until(lambda: not any(map(is_alive, servers)))


@pytest.fixture(scope="module")
def links(project: Path) -> Iterator[dict[str, str]]:
    """The links that a running UI printed, by what they show; the UI itself is "home"."""
    with ui(project, 0) as (_, lines):
        home = lines[0].removeprefix("MLflow is at ")
        shown = zip(lines[1:-1:2], lines[2:-1:2], strict=True)
        yield {"home": home, **dict(shown)}


def curves(page: Page) -> dict[str, list[int]]:
    """The steps of each curve of the first chart, by the curve's name."""
    page.locator(".scatterlayer .trace").nth(1).wait_for()
    found: dict[str, list[int]] = page.locator(".js-plotly-plot").first.evaluate(
        "plot => Object.fromEntries(plot.data.map(curve => [curve.name, [...curve.x]]))"
    )
    return found


def test_it_opens_on_training_runs_with_no_empty_experiment(
    links: dict[str, str], watched: Watched
) -> None:
    page = watched.page
    page.goto(links["home"])
    page.get_by_role("link", name="Experiments").first.click()
    expect(page.get_by_role("link", name="train", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Default", exact=True)).to_have_count(0)
    page.get_by_role("link", name="train", exact=True).click()
    expect(page.get_by_role("heading", name="Runs")).to_be_visible()
    expect(page.get_by_role("link", name="batchnorm seed=4 relu lr=0.01")).to_be_visible()
    expect(page.get_by_placeholder("Ask a question")).to_be_hidden()
    assert "/runs?" in page.url
    assert watched.foreign == []


def test_two_runs_are_compared_on_the_same_axis(links: dict[str, str], watched: Watched) -> None:
    page = watched.page
    page.goto(links["train: all runs"])
    for variant in ("baseline", "batchnorm"):
        name = f"{variant} seed=3 relu lr=0.01"
        row = page.locator(".ag-row", has=page.get_by_role("link", name=name)).first
        number = row.get_attribute("row-index")
        page.locator(f".ag-row[row-index='{number}'] input[type=checkbox]").first.check()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name="Comparing 2 Runs")).to_be_visible()
    # The table moves as charts arrive: a press that starts on the link may end beside it.
    page.get_by_role("link", name="train/loss", exact=True).dispatch_event("click")
    page.wait_for_url(re.compile("/metric[?]"))
    assert curves(page) == {
        "baseline seed=3 relu lr=0.01": list(STEPS),
        "batchnorm seed=3 relu lr=0.01": list(STEPS),
    }
    assert page.locator(".xtitle").first.text_content() == "Step"


def test_the_links_show_what_they_say(links: dict[str, str], watched: Watched) -> None:
    page = watched.page
    page.goto(links["train: all runs"])
    for column in ("variant", "learning_rate", "seed", "label", "validation_accuracy"):
        expect(page.locator(".ag-header-cell", has_text=column).first).to_be_attached()
    expect(page.get_by_role("gridcell", name="0.95", exact=True).first).to_be_attached()

    page.goto("about:blank")
    page.goto(links["relu lr=0.01: twins of seed 3"])
    expect(page.get_by_role("heading", name="Comparing 2 Runs")).to_be_visible()

    page.goto("about:blank")
    page.goto(links["search: all trials"])
    names = page.get_by_role("link", name="baseline trial=")
    expect(names).to_have_count(3)
    rates = ["lr=0.02", "lr=0.1", "lr=0.5"]
    for number, rate in enumerate(rates):
        row = page.locator(f".ag-row[row-index='{number}']", has=page.get_by_role("link"))
        expect(row.first).to_contain_text(rate)

    page.goto("about:blank")
    page.goto(links["search baseline relu"])
    expect(page.get_by_text("up to learning rate 0.0123 (95% interval: 0.011 to")).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    expect(page.get_by_text("trials.csv").first).to_be_visible()


def test_the_views_open_with_their_charts_drawn(links: dict[str, str], watched: Watched) -> None:
    page = watched.page
    chart = page.locator(".js-plotly-plot").first
    page.goto(links["relu lr=0.01: twins"])
    chart.locator(".scatterlayer .trace").nth(1).wait_for()
    # The averages; the bands around them are other traces.
    averages = chart.evaluate(
        "plot => plot.data.filter(one => one.mode === 'lines+markers')"
        ".map(one => [one.uuid, one.metricKey, [...one.x], one.marker.color])"
    )
    assert sorted(averages) == [
        [f"param.variant.{variant}", "validation/accuracy", [250, 500], colour]
        for variant, colour in COLOURS.items()
    ]

    page.goto("about:blank")
    page.goto(links["relu: boundary"])
    chart.locator(".scatterlayer .points path").nth(2).wait_for()
    (trials,) = chart.evaluate(
        "plot => plot.data.map(one => [one.text, [...one.x], one.marker.color])"
    )
    names, rates, colours = trials
    assert dict(zip(names, rates, strict=True)) == pytest.approx(
        {
            "baseline trial=0 relu lr=0.5": math.log10(0.5),
            "baseline trial=1 relu lr=0.02": math.log10(0.02),
            "baseline trial=2 relu lr=0.1": -1,
        }
    )
    assert set(colours) == {COLOURS["baseline"]}
    expect(page.locator(".parcoords canvas").first).to_be_visible()


def test_a_busy_port_is_told_and_ctrl_c_leaves_nothing(project: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        busy = listener.getsockname()[1]
        with ui(project, busy) as (process, lines):
            assert lines[0].startswith(f"port {busy} is busy: taking ")
            (server,) = children_of(process.pid)
            servers = {server, *children_of(server)}
            assert len(servers) > 1
            # A store's address may hold a password, and all users see the arguments of a process.
            for one in servers:
                assert b"mlflow.db" not in Path(f"/proc/{one}/cmdline").read_bytes()
            process.send_signal(signal.SIGINT)
            assert process.wait(WAIT_SECONDS) == 0
            assert not any(map(is_alive, servers))


def test_the_links_of_a_server_hold_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Server:
        def pages(self) -> list[tracking.Page]:
            return [tracking.Page("train: all runs", "/#/experiments/1/runs")]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example.org/")
    monkeypatch.setattr(tracking, "open_store", lambda: nullcontext(Server()))
    shown = CliRunner().invoke(command.main, [])
    assert shown.output == (
        "MLflow is at https://mlflow.example.org\n"
        "  train: all runs\n"
        "    https://mlflow.example.org/#/experiments/1/runs\n"
    )


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "lr_ceiling.pipeline.commands.ui"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith(f"error: {tmp_path}/mlruns/mlflow.db is missing: ")
    assert list(tmp_path.iterdir()) == []
