"""A training as a task: it travels by pickle, and brings TensorFlow to no driver."""

import pickle
import subprocess
import sys
from pathlib import Path

from conftest import small_spec
from lr_ceiling.mnist import training
from lr_ceiling.mnist.task import TrainingTask


def test_a_task_that_travelled_trains_its_run_and_reports_its_steps(
    small_splits: Path, digest: str, tmp_path: Path
) -> None:
    model = tmp_path / "model.keras"
    task = TrainingTask(small_spec(digest), small_splits, model, test=True)
    told: list[int] = []
    result = pickle.loads(pickle.dumps(task))(told.append)
    assert result == training.fit(task.spec, small_splits, test=True)
    assert told == [20]
    assert result.test_accuracy is not None
    assert model.exists()


def test_a_task_is_called_as_its_run(digest: str) -> None:
    task = TrainingTask(small_spec(digest), Path("splits.npz"))
    assert str(task) == task.spec.name == "baseline relu lr=0.003 seed=0"


def test_a_driver_that_makes_tasks_imports_no_tensorflow() -> None:
    code = (
        "import sys; from lr_ceiling.mnist import task, version; version.run_digest(); "
        "print([name for name in ('tensorflow', 'keras', 'optuna') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
