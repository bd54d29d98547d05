"""`lr-ceiling claims`: what it runs, in parts, and never twice."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Self

import pytest
from click.testing import CliRunner
from lr_ceiling.execution.workers import Ended, Task

from conftest import VARIANTS, small_project, small_run, small_spec
from lr_ceiling.evidence.claims import subject_of
from lr_ceiling.execution.files import read_json
from lr_ceiling.mnist.results import RunResult, write_runs
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline.commands import claims
from lr_ceiling.pipeline.params import load

PARTS = ("claims", "cells", "initialisation")
GRID = {"activations": ["relu"], "learning_rates": [0.001, 0.01]}


class StandIn:
    """Stands in for Workers: ends a task at once and dies, as a driver does, after `lives`."""

    lives = 10**9
    ran: list[Task]

    def __init__(self, processes: int | None, on_steps: Callable[[int], None]) -> None:
        self._on_steps = on_steps
        self._tasks: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def completed(self) -> Ended:
        if not StandIn.lives:
            raise KeyboardInterrupt
        StandIn.lives -= 1
        task = self._tasks.pop()
        StandIn.ran.append(task)
        self._on_steps(task.spec.horizon)
        return Ended(task, oracle(task), 0.0, 0.0)


def oracle(task: Task) -> RunResult:
    """Batch norm learns at any scale from 1/1000 to 1000, the baseline from 1/10 to 10."""
    spec = task.spec
    luck = random.Random(spec.seed).uniform(0.8, 1.25)
    most = 1000 if spec.variant == "batchnorm" else 10
    stable = 1 / most < spec.init_scale * luck < most
    return small_run(
        **spec.model_dump(),
        label="stable" if stable else "slow",
        steps=spec.horizon,
        steps_to_95=100 if spec.variant == "batchnorm" else 200,
        test_accuracy=0.9 + 0.0001 * luck if task.test else None,
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(small_project(tmp_path, {"grid": GRID, "train": {"seeds": [3, 1]}}))
    monkeypatch.setattr(StandIn, "lives", 10**9)
    monkeypatch.setattr(StandIn, "ran", [], raising=False)
    return tmp_path


def call(splits: Path) -> "tuple[int, str]":
    command = [str(splits), "--train", "data/train", "--output", "reports/claims.json"]
    shown = CliRunner().invoke(claims.main, [*command, "--state", "state/runs"])
    return shown.exit_code, shown.stderr


def test_seeds_are_filled_up_with_those_that_are_not_there() -> None:
    assert claims.seeds_from([0, 1, 2, 3]) == list(range(12))
    assert claims.seeds_from([7, 0]) == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert claims.seeds_from(range(20, 40)) == list(range(20, 40))


def test_every_activation_is_run_with_both_variants_at_both_rates() -> None:
    cells = claims.activation_cells(small_spec("d"), [5, 6, 7, 8])
    assert len(cells) == 20
    assert {len(specs) for specs in cells} == {4}
    keys = {(one.variant, one.activation, one.learning_rate) for specs in cells for one in specs}
    assert keys == set(product(VARIANTS, claims.ACTIVATIONS, (0.001, 0.01)))


def test_all_parts_are_written_and_no_run_is_trained_twice(
    project: Path, small_splits: Path, digest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seeds of the grid are taken from data/train; interrupted or not, the bytes are the same."""
    monkeypatch.setattr(claims, "Workers", StandIn)
    template = RunSpec.of(
        load().training, variant="baseline", activation="relu", learning_rate=0.001, seed=3,
        data_digest=digest,
    )  # fmt: skip
    held = oracle(Task(template, small_splits, test=True))
    write_runs(project / "data/train/baseline-relu-0.001/runs.json", [held])
    parts = set()
    for lives in (0, 1, 30, 40, 45, 3):
        StandIn.lives = lives
        code, _ = call(small_splits)
        assert code == 1
        if (project / "reports/claims.json").exists():
            report = read_json(project / "reports/claims.json")
            parts.add(tuple(part for part in PARTS if report[part]))
    StandIn.lives = 10**9
    assert call(small_splits) == (0, "")
    assert parts == {("claims",), ("claims", "cells")}
    written = (project / "reports/claims.json").read_bytes()
    specs = [task.spec for task in StandIn.ran]
    assert len(set(specs)) == len(specs)
    assert template not in specs
    # 4 cells of 12 seeds, 16 more cells of 4, 4 searches of 8; one run was there.
    assert len(specs) == 48 + 64 + 32 - 1
    assert {task.test for task in StandIn.ran if task.spec.activation == "tanh"} == {False}
    assert all(task.test for task in StandIn.ran[:47])

    found = read_json(project / "reports/claims.json")
    assert found["subject"] == subject_of(held.spec, load().grid)
    assert [claim["id"] for claim in found["claims"]] == [
        "faster-relu", "faster-at-best-relu", "better-results-relu", "more-activations",
        "easier-initialisation-relu",
    ]  # fmt: skip
    by_id = {claim["id"]: claim for claim in found["claims"]}
    assert (by_id["faster-relu"]["n"], by_id["faster-relu"]["verdict"]) == (24, "supported")
    assert by_id["more-activations"]["estimate"] == 0
    easier = by_id["easier-initialisation-relu"]
    assert easier["verdict"] == "supported"
    assert easier["n"] == 2 * (12 + 2 * 8)
    assert easier["ci95"][0] > 1
    widths = [arm["width_decades"] for arm in found["initialisation"]]
    # P(stable) is 0.9 where the luck of nine in ten, uniform in 0.8 to 1.25, leaves a scale inside.
    for width, truth in zip(widths, (1.83, 5.83), strict=True):
        assert width["ci95"][0] < truth < width["ci95"][1]

    StandIn.ran.clear()
    assert call(small_splits) == (0, "")
    assert not StandIn.ran
    assert (project / "reports/claims.json").read_bytes() == written


def test_real_runs(
    project: Path, small_splits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_project(tmp_path, {"grid": GRID | {"learning_rates": [0.001]}, "train": {"seeds": [0]}})
    monkeypatch.setattr(claims, "SEEDS", 2)
    monkeypatch.setattr(claims, "VIABLE_SEEDS", 1)
    monkeypatch.setattr(claims, "ACTIVATIONS", ("softsign",))
    monkeypatch.setattr(claims, "RATES", (0.001,))
    monkeypatch.setattr("lr_ceiling.evidence.initialisation.BUDGET", 1.0)
    assert call(small_splits) == (0, "")
    found = read_json(project / "reports/claims.json")
    assert [cell["activation"] for cell in found["cells"]] == ["softsign"] * 2
    assert [arm["runs"] for arm in found["initialisation"]] == [4, 4]
    better = next(one for one in found["claims"] if one["id"] == "better-results-relu")
    assert better["n"] == 2


def test_what_is_missing_is_told_in_one_line(project: Path) -> None:
    code, said = call(Path("none.npz"))
    assert (code, said.count("\n")) == (1, 1)
    assert "none.npz" in said
