"""Work ahead: later stages find their work done, and no output depends on it."""

import shutil
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conftest import ROOT, run_command, small_project
from lr_ceiling.errors import ParamsError, ResultsError
from lr_ceiling.evidence.records import read_study
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.runner import Ended, Runner, Task, work
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.pipeline import ahead, params
from lr_ceiling.pipeline.commands import log
from lr_ceiling.pipeline.stages import search, theory, train
from tasks import Failing, Square

CELLS = ("baseline-relu-0.01", "baseline-relu-0.1")
ARM = "baseline-relu"


def make_project(folder: Path, budget: int = 3) -> Path:
    shutil.copytree(ROOT / "reports", folder / "reports")
    return small_project(
        folder,
        {
            "grid": {
                "variants": ["baseline"],
                "activations": ["relu"],
                "learning_rates": [0.01, 0.1],
            },
            "training": {"epochs": 1, "steps_per_epoch": 50, "target_accuracy": 0.5},
            "train": {"seeds": [0]},
            "search": {"budget_runs": {"default": budget}},
            "workers": {"processes": 2},
        },
    )


def run_train(project: Path, splits: Path, cell: str, mode: str, **environment: str) -> str:
    arguments = [
        *(str(splits), "--variant", "baseline", "--activation", "relu"),
        *("--learning-rate", cell.rpartition("-")[2], "--output", f"data/train/{cell}"),
        *("--models", f"data/models/{cell}", "--state", "state/runs"),
    ]
    return run_command(train.main, project, *arguments, **{"LR_CEILING_AHEAD": mode} | environment)


def run_others(project: Path, splits: Path, mode: str) -> None:
    arm = (str(splits), "--variant", "baseline", "--activation", "relu")
    environment = {"LR_CEILING_AHEAD": mode, "LR_CEILING_TRACKING": "off"}
    run_train(project, splits, CELLS[1], mode, LR_CEILING_TRACKING="off")
    run_command(
        search.main, project, *arm, "--audit", "reports/audit.json",
        "--output", f"data/search/{ARM}", "--state", "state/search", **environment,
    )  # fmt: skip
    run_command(
        theory.main, project, *arm, "--output", f"data/theory/{ARM}.json",
        "--state", "state/theory", **environment,
    )  # fmt: skip


def contents(project: Path) -> dict[str, bytes]:
    paths = sorted((project / "data").rglob("*"))
    return {str(path.relative_to(project)): path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(small_splits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages, each on its own."""
    project = make_project(tmp_path_factory.mktemp("off"))
    run_train(project, small_splits, CELLS[0], "off", LR_CEILING_TRACKING="off")
    assert not (project / "state" / "search").exists()
    run_others(project, small_splits, "off")
    return project


def test_the_first_stage_does_all_of_it_and_logs_it(
    undisturbed: Path, small_splits: Path, tmp_path: Path, empty_database: Path
) -> None:
    project = make_project(tmp_path)
    (project / "mlruns").mkdir()
    shutil.copy(empty_database, project / "mlruns")
    printed = run_train(project, small_splits, CELLS[0], "all")
    trials = read_study(undisturbed / "data/search" / ARM / "study.json").trials
    assert printed.count(f"{ARM}, ahead: lr ") == trials
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lr_ceiling.pipeline.workers.local_executor", pytest.fail)
        run_others(project, small_splits, "all")
    assert contents(project) == contents(undisturbed)
    logged = run_command(log.main, project)
    assert logged.count(": 0 logged, ") == len(CELLS) + 1


def test_idle_cores_work_ahead_and_change_no_byte(
    undisturbed: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path)
    # One seed leaves one of two cores idle.
    run_train(project, small_splits, CELLS[0], "idle", LR_CEILING_TRACKING="off")
    assert any((project / "state" / "theory").iterdir())
    run_others(project, small_splits, "idle")
    assert contents(project) == contents(undisturbed)


def test_a_study_that_another_driver_has_open_is_left_to_its_own_stage(
    undisturbed: Path, small_splits: Path, tmp_path: Path
) -> None:
    project = make_project(tmp_path)
    values = params.load(project / "params.yaml")
    digest = splits_digest(small_splits)
    store = RunStore(project / "state" / "runs")
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setenv("LR_CEILING_AHEAD", "idle")
        with (
            ahead.work_ahead(values, small_splits, digest, store, CELLS[0], said.append) as first,
            ahead.work_ahead(values, small_splits, digest, store, CELLS[0], said.append) as second,
        ):
            assert set(first.spare) == {ARM, CELLS[1], "theory"}
            assert set(second.spare) == {CELLS[1], "theory"}
        # Nor is one without an audit, whose own stage tells what is missing.
        (project / "reports" / "audit.json").unlink()
        with ahead.work_ahead(values, small_splits, digest, store, CELLS[0], said.append) as third:
            assert set(third.spare) == {CELLS[1], "theory"}


def test_what_fails_ahead_is_left_to_its_own_stage(small_splits: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path, budget=1)
    # A folder in the way: no finding of theory can be kept.
    (project / "state").mkdir()
    (project / "state" / "theory").write_text("")
    printed = run_train(project, small_splits, CELLS[0], "all", LR_CEILING_TRACKING="off")
    assert printed.count("theory, ahead: left to its own stage (") == 1
    assert (project / "data/train" / CELLS[0] / "runs.json").exists()
    with pytest.raises(SystemExit, match=r"error: .*state/theory"):
        run_others(project, small_splits, "all")


class Listed:
    """Gives its tasks, and refuses the result that it is told to."""

    def __init__(self, *tasks: Task, refused: int | None = None) -> None:
        self._tasks = deque(tasks)
        self._refused = refused
        self.results: list[int] = []

    def next(self) -> Task | None:
        return self._tasks.popleft() if self._tasks else None

    def take(self, ended: Ended) -> None:
        if ended.result == self._refused:
            raise ResultsError("no place to keep it")
        self.results.append(ended.result)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (Listed(Square(2), Failing(), Square(3)), "ArithmeticError: so it is"),
        (Listed(Square(2), Square(4), Square(3), refused=16), "no place to keep it"),
    ],
    ids=["the task", "its source"],
)
def test_what_raises_ahead_ends_that_source_alone(source: Listed, reason: str) -> None:
    said: list[str] = []
    own = Listed(*map(Square, range(5)))
    spare = ahead.Spare("cell", source, said.append)
    with Runner(lambda: ThreadPoolExecutor(1), 1) as runner:
        work(runner, {"own": own, "cell": spare}, {})
    assert said == [f"cell, ahead: left to its own stage ({reason})"]
    assert (source.results, len(own.results)) == ([4], 5)


def test_another_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LR_CEILING_AHEAD", raising=False)
    assert ahead.mode() == "idle"
    monkeypatch.setenv("LR_CEILING_AHEAD", "")
    assert ahead.mode() == "idle"
    monkeypatch.setenv("LR_CEILING_AHEAD", "on")
    with pytest.raises(ParamsError, match="LR_CEILING_AHEAD is 'on': it must be idle, all or off"):
        ahead.mode()
