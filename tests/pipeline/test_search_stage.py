"""The search stage: byte-identical for any number of workers, and after kills of all kinds."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from conftest import children_of, is_alive, run_command, small_project, small_study
from lr_ceiling.evidence.records import Study
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.mnist.results import read_runs
from lr_ceiling.pipeline.stages import search as stage
from lr_ceiling.pipeline.stages.search import main
from lr_ceiling.search.schedule import PARTS
from waiting import wait_until

OUTPUT = Path("data/search/baseline-relu")
# A run is called dead at its second probe, after 500 steps.
HORIZON = 550


def search_command(splits: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "lr_ceiling.pipeline.stages.search", str(splits)),
        *("--variant", "baseline", "--activation", "relu"),
        *("--audit", "audit.json", "--output", str(OUTPUT), "--state", "state/search"),
    ]


def search(project: Path, splits: Path) -> str:
    """Run it in this process, whose workers start faster."""
    return run_command(main, project, *search_command(splits)[3:], LR_CEILING_TRACKING="off")


def start(project: Path, splits: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        search_command(splits),
        cwd=project,
        env=os.environ | {"LR_CEILING_TRACKING": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def contents(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / OUTPUT).iterdir()}


def search_project(folder: Path, processes: int, digest: str, horizon: int = HORIZON) -> Path:
    """A project whose audit is of HORIZON steps, on data of this digest."""
    counts = {"wrong": 0, "wrong_share_below": 0.0495}
    conditions = {
        "variant": "baseline",
        "activation": "relu",
        "optimizer": "adam",
        "batch_size": 4,
        "horizon_steps": HORIZON,
        "target": 0.5,
        "data_digest": digest,
    }
    arm = {"conditions": conditions, "edge": 0.01, "learning_rates": [0.02] * 59, "near": 59}
    arms = {"arms": {"baseline-relu": 59}, "under": [arm | counts]}
    rules = [{"rule": "dead", "audited": 59, **counts, **arms}]
    write_json(folder / "audit.json", {"format": 3, "horizon_steps": HORIZON, "rules": rules})
    return small_project(
        folder,
        {
            "training": {
                "steps_per_epoch": horizon,
                "epochs": 1,
                "target_accuracy": 0.5,
                "batch_size": 4,
            },
            "search": {
                "lag": 4,
                "budget_runs": {"default": 5},
                "range": {"baseline": {"low": 1e-3, "high": 1.0}},
            },
            "grid": {"variants": ["baseline"]},
            "workers": {"processes": processes},
        },
    )


@pytest.fixture(scope="module")
def undisturbed(small_splits: Path, digest: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = search_project(tmp_path_factory.mktemp("search"), processes=1, digest=digest)
    assert "no trial is ended early" not in search(project, small_splits)
    return project


def test_the_results_agree_with_one_another(undisturbed: Path) -> None:
    runs = read_runs(undisturbed / OUTPUT / "runs.json")
    study = read_json(undisturbed / OUTPUT / "study.json")
    table = pd.read_csv(undisturbed / OUTPUT / "trials.csv")
    assert study["trials"] == len(runs) == len(table) >= 5
    assert study["steps_spent"] == sum(run.steps for run in runs)
    spent = study["spent"]
    assert 4 < spent["edge"] <= 5
    assert sum(spent.values()) == pytest.approx(study["full_run_equivalents"], abs=0.002)
    parts = list(table["part"])
    assert parts == sorted(parts, key=PARTS.index)
    assert parts.count("confirm") <= 2
    assert parts.count("usable") <= 1
    stable = table[table["label"] == "stable"]["learning_rate"]
    assert study["highest_stable"] == (stable.max() if len(stable) else None)
    assert table["learning_rate"].between(1e-5, 100).all()
    assert len({run.spec.seed for run in runs}) == len(runs)
    assert ("dead",) in {run.spec.ended_by for run in runs} <= {("dead",), ()}
    ended = [run for run in runs if run.steps < HORIZON]
    assert ended
    assert {run.label for run in ended} == {"dead"}


def finished_trials(project: Path) -> int:
    for journal in (project / "state" / "search").glob("*.journal"):
        return journal.read_text().count('"result"')
    return 0


def descendants_of(process: int) -> set[int]:
    """Its children, and what these started: workers are forked from a server."""
    children = children_of(process)
    return children.union(*map(descendants_of, children))


def kill_worker(driver: int) -> None:
    # A server's children are the workers.
    workers = set().union(*map(children_of, children_of(driver)))
    os.kill(min(workers), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 4])
def test_neither_workers_nor_kills_change_a_byte(
    processes: int,
    undisturbed: Path,
    small_splits: Path,
    digest: str,
    tmp_path: Path,
) -> None:
    project = search_project(tmp_path, processes, digest)
    process = start(project, small_splits)
    assert wait_until(lambda: finished_trials(project) >= 1, seconds=120)
    kill_worker(process.pid)
    assert wait_until(lambda: finished_trials(project) >= 2, seconds=120)
    started = descendants_of(process.pid)
    process.kill()
    process.wait()
    assert wait_until(lambda: not any(map(is_alive, started)))
    assert not (project / OUTPUT).exists()
    search(project, small_splits)
    assert contents(project) == contents(undisturbed)
    (journal,) = (project / "state" / "search").glob("*.journal")
    storage = JournalStorage(JournalFileBackend(str(journal)))
    (study,) = storage.get_all_studies()
    trials = storage.get_all_trials(study._study_id)
    done = [trial.user_attrs["index"] for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(done) == list(range(len(read_runs(project / OUTPUT / "runs.json"))))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}


def test_a_search_whose_trials_are_all_there_starts_no_worker(
    undisturbed: Path, small_splits: Path, digest: str, tmp_path: Path
) -> None:
    project = search_project(tmp_path, processes=1, digest=digest)
    shutil.copytree(undisturbed / "state", project / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lr_ceiling.pipeline.workers.local_executor", pytest.fail)
        search(project, small_splits)
    assert contents(project) == contents(undisturbed)


def test_an_audit_of_another_horizon_ends_no_trial_and_the_search_says_so(
    small_splits: Path, digest: str, tmp_path: Path
) -> None:
    project = search_project(tmp_path, processes=1, digest=digest, horizon=300)
    printed = search(project, small_splits)
    assert (
        "baseline-relu: no trial is ended early, since the audit is of horizon_steps 550, not 300\n"
    ) in printed
    runs = read_runs(project / OUTPUT / "runs.json")
    assert {run.spec.ended_by for run in runs} == {()}
    assert {run.steps for run in runs} == {300}


@pytest.mark.parametrize("stopped", get_args(Study.model_fields["stopped"].annotation))
def test_whatever_ended_a_search_is_told(stopped: str, capsys: pytest.CaptureFixture[str]) -> None:
    stage._print_study("baseline-relu", small_study(stopped=stopped))
    assert "stopped, since" in capsys.readouterr().out
