"""A cell of the grid: it gives the runs that are missing, and keeps what they come to."""

from pathlib import Path

from conftest import small_run, small_spec
from lr_ceiling.evidence.cell import Cell, copy_models
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.runner import Ended
from lr_ceiling.mnist.task import TrainingTask

SPECS = [small_spec("d", seed=seed) for seed in (4, 2, 0)]


def ended(task: TrainingTask) -> Ended:
    """A run that left its network where its task says."""
    assert task.model is not None
    task.model.parent.mkdir(parents=True, exist_ok=True)
    task.model.write_bytes(f"weights of {task.spec.seed}".encode())
    run = small_run(**task.spec.model_dump(), test_accuracy=0.9 if task.test else None)
    return Ended(task, run, 0.0, 1.0)


def tasks_of(cell: Cell) -> list[TrainingTask]:
    found = []
    while (task := cell.next()) is not None:
        found.append(task)
    return found


def test_every_run_is_given_once_and_results_are_in_the_order_of_the_specs(tmp_path: Path) -> None:
    told: list[Ended] = []
    cell = Cell(SPECS, Path("splits.npz"), RunStore(tmp_path), told.append)
    tasks = tasks_of(cell)
    assert [task.spec for task in tasks] == SPECS
    assert all(task.test for task in tasks)
    for task in reversed(tasks):
        assert cell.missing > 0
        cell.take(ended(task))
    assert cell.missing == 0
    assert [run.spec for run in cell.runs] == SPECS
    assert [one.task for one in told] == tasks[::-1]


def test_runs_that_are_kept_with_their_network_are_not_given(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    first = Cell(SPECS[:2], Path("splits.npz"), store)
    for task in tasks_of(first):
        first.take(ended(task))
    store.model_path(SPECS[0]).unlink()
    again = Cell(SPECS, Path("splits.npz"), store)
    assert again.missing == 2
    assert [task.spec for task in tasks_of(again)] == [SPECS[0], SPECS[2]]


def test_networks_are_copied_by_seed(tmp_path: Path) -> None:
    store = RunStore(tmp_path / "store")
    cell = Cell(SPECS, Path("splits.npz"), store)
    for task in tasks_of(cell):
        cell.take(ended(task))
    copy_models(cell.runs, store, tmp_path / "models")
    models = {path.name: path.read_text() for path in (tmp_path / "models").iterdir()}
    assert models == {f"seed-{spec.seed}.keras": f"weights of {spec.seed}" for spec in SPECS}
