"""Who may write when, and what becomes of a store that is away."""

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from logged import client, count_rows, free_port, log_search, logged_runs, make_run, trials
from lr_ceiling import tracking
from lr_ceiling.errors import TrackingError
from lr_ceiling.execution.provenance import SWITCH
from lr_ceiling.mnist.results import write_runs
from waiting import wait_until


def test_a_new_store_has_no_empty_experiment(project: Path) -> None:
    assert client(project).search_experiments() == []


LOGGER = """
import sys
from pathlib import Path
from lr_ceiling import tracking
from lr_ceiling.execution.provenance import SWITCH
from lr_ceiling.mnist.results import read_runs
results = read_runs(Path(sys.argv[1]))
with tracking.open_store() as store:
    if sys.argv[2] == "search":
        store.log_search("batchnorm-relu", {"variant": "batchnorm", "activation": "relu",
            "key": "0123456789abcdef", "highest_stable": 0.3}, results)
    else:
        print(*store.log_train("baseline-relu-0.01", results, Path(sys.argv[1]).parent))
# 5 s and 500 MB that the driver is spared.
assert not {"keras", "tensorflow"} & set(sys.modules)
"""


def start_logger(runs: Path, kind: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", LOGGER, str(runs), kind], stdout=subprocess.PIPE, text=True
    )


def test_what_a_killed_logger_leaves_is_logged_again(project: Path) -> None:
    write_runs(project / "runs.json", trials(300))
    logger = start_logger(project / "runs.json", "search")
    assert wait_until(lambda: count_rows(project, "SELECT count(*) FROM runs") > 5)
    logger.kill()
    logger.communicate()
    assert 1 <= count_rows(project, "SELECT count(*) FROM runs WHERE status = 'RUNNING'") <= 2
    assert count_rows(project, "SELECT count(*) FROM runs") < 300
    log_search(*trials(6), trials=6)
    runs = logged_runs(client(project), "search")
    assert len(runs) == 1 + 6
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_writers_at_a_cold_start_wait_for_one_another(project: Path) -> None:
    (project / "mlruns" / "mlflow.db").unlink()
    (project / "seed-0.keras").write_bytes(b"no test loads this one")
    write_runs(project / "runs.json", [make_run()])
    loggers = [start_logger(project / "runs.json", "train") for _ in range(2)]
    told = [logger.communicate()[0] for logger in loggers]
    assert sorted(told) == ["0 1\n", "1 0\n"]
    assert [logger.returncode for logger in loggers] == [0, 0]
    assert count_rows(project, "SELECT count(*) FROM runs") == 1


def test_a_server_that_is_away_costs_one_warning(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    warning = capfd.readouterr().err
    assert warning.startswith("warning: MLflow at http://127.0.0.1:")
    assert warning.endswith("`lr-ceiling log` sends it later\n")
    assert warning.count("\n") == 1
    assert "secret" not in warning
    # Outside pytest these would be lines on stderr.
    assert not caplog.records


class Ill(BaseHTTPRequestHandler):
    """Answers everything with what its server was made for."""

    def answer(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    "answer",
    [(500, b"{}"), (503, b""), (200, b"<html>sign in</html>"), (200, b""), (401, b"no")],
    ids=lambda answer: f"{answer[0]} {answer[1].decode()[:6]}",
)
def test_a_server_that_is_ill_costs_one_warning(
    answer: tuple[int, bytes],
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with HTTPServer(("127.0.0.1", 0), Ill) as server:
        server.answer = answer  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        assert not tracking.mirror(lambda store: store.log_compare([make_run()]))
        server.shutdown()
    warning = capfd.readouterr().err
    assert warning.startswith("warning: MLflow at http://127.0.0.1:")
    assert warning.count("\n") == 1
    assert "`lr-ceiling log` sends it " in warning


def test_a_fault_of_the_mirror_is_never_the_callers(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tracking.mirror(lambda store: 1 // 0)
    assert capfd.readouterr().err.startswith("warning: integer division or modulo by zero; ")


def test_tracking_can_be_switched_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "off")
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    monkeypatch.delenv(SWITCH)
    assert logged_runs(client(project), "compare") == []
    tracking.mirror(lambda store: store.log_compare([make_run()]))
    assert len(logged_runs(client(project), "compare")) == 1


def test_no_message_tells_a_password(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{free_port()}/runs?password=hidden1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("//", "//me:hid/den2@"))
    with pytest.raises(TrackingError) as error, tracking.open_store() as store:
        store.pages()
    assert str(error.value).startswith("MLflow at http://127.0.0.1:")
    assert "den" not in str(error.value)


def test_a_password_in_anyones_message_is_not_told(
    project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise ValueError("can't connect to postgresql://me:hidden@db.example.org/runs")

    tracking.mirror(fail)
    assert capfd.readouterr().err.startswith(
        "warning: can't connect to postgresql://db.example.org/runs; "
    )
