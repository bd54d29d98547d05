"""Tries every fault at every operation of every stage, and counts the passes."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from faults import inject, stages
from faults.inject import FAULTS, FINISHED, POWER_CUT, TOLD, Operation, Try

INJECTED = (*FAULTS[1:], POWER_CUT)
# Those after which the process is gone.
KILLING = {"torn write, then killed", "killed before", "killed after", POWER_CUT}
KILLED = -9
# Of these the outputs are files; of the others they are rows of MLflow's database.
OF_FILES = ("fetch", "train", "search", "report")


@dataclass(frozen=True)
class Point:
    """A fault at a stage's `at`th operation on the disk."""

    stage: str
    kind: str
    fault: str
    at: int


class Campaign:
    """Tries each point once: runs the stage with the fault, then again without it.

    A point passes if the stage finishes, ends with a one-line error, or is killed by the fault; if
    no output file is incomplete; if the champion's file is whole; and if the second run finishes
    and its outputs are equal, to the byte, to those of a run without faults.
    """

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        """Work in `folder`; stages that use MLflow get a copy of the empty `database`."""
        self._folder = folder
        self._before: dict[str, Path] = {}
        self._quiet: dict[str, Path] = {}
        self._operations: dict[str, tuple[Operation, ...]] = {}
        last = folder / "begin"
        (last / "mlruns").mkdir(parents=True)
        if database:
            shutil.copy(database, last / stages.DATABASE)
        for name in stages.STAGES if database else OF_FILES:
            self._before[name] = last
            # MLflow's paths are absolute, so each try is at the same place.
            self._lay_out(last)
            quiet = inject.attempt(stages.STAGES[name], self.place)
            if quiet.code != FINISHED:
                raise RuntimeError(f"{name} doesn't finish on a quiet day: {quiet.said}")
            last = self._quiet[name] = folder / name
            shutil.copytree(self.place, last)
            self._operations[name] = quiet.operations

    @property
    def place(self) -> Path:
        """The folder of the project in each try."""
        return self._folder / "project"

    @property
    def stages(self) -> list[str]:
        """The names of the stages, in their order."""
        return list(self._quiet)

    def before(self, stage: str) -> Path:
        """A copy of the project before a stage."""
        return self._before[stage]

    def after(self, stage: str) -> Path:
        """A copy of the project after a stage without faults."""
        return self._quiet[stage]

    def points(self, step: Callable[[str], int] = lambda stage: 1) -> Iterator[Point]:
        """All points; with `step`, only every `step`th operation of a stage."""
        for stage, operations in self._operations.items():
            for at, operation in enumerate(operations, 1):
                if (at - 1) % step(stage):
                    continue
                for fault in INJECTED:
                    if fault != FAULTS[3] or operation.kind == "write":
                        yield Point(stage, operation.kind, fault, at)

    def wrong(self, point: Point) -> str | None:
        """The promise that was broken at a point; None if all were kept."""
        self._lay_out(self._before[point.stage])
        return self.wrong_here(point, point.fault, point.at)

    def wrong_here(
        self, point: Point, fault: str = "none", at: int = 0, then: Callable[[], None] | None = None
    ) -> str | None:
        """Like `wrong`, in an existing project; `then` ends the fault before the second run."""
        stage = stages.STAGES[point.stage]
        tried = inject.attempt(stage, self.place, fault, at)
        if then:
            then()
        again: Try | None = None
        said = _wrong_end(tried, point.fault) or self._wrong_files(point.stage, whole=False)
        if said is None:
            again = inject.attempt(stage, self.place)
            if again.code != FINISHED:
                said = f"the second time it ends with {again.code}: {again.said[-500:]}"
            else:
                said = self._wrong_files(point.stage, whole=True)
        return said

    def _wrong_files(self, stage: str, whole: bool) -> str | None:
        made, found = stages.outputs(self._quiet[stage]), stages.outputs(self.place)
        for path in sorted(made.keys() | found):
            if (whole or path in found) and made.get(path) != found.get(path):
                return f"{path} is {'not as on a quiet day' if whole else 'half-written'}"
        if stage in OF_FILES:
            return None
        try:
            stages.live(self.place)
        except (OSError, ValueError) as error:
            return f"the live model is lost: {error}"
        if whole and stages.logged(self._quiet[stage]) != stages.logged(self.place):
            return f"MLflow holds {stages.logged(self.place)}"
        return None

    def _lay_out(self, template: Path) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(template, self.place)


class Tally:
    """The results so far, one line each in a file, so that a stopped campaign can continue."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wrong: dict[Point, str | None] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                stage, kind, fault, at, wrong = json.loads(line)
                self._wrong[Point(stage, kind, fault, at)] = wrong

    def __contains__(self, point: Point) -> bool:
        return point in self._wrong

    def add(self, point: Point, wrong: str | None) -> None:
        """Store the result of a point."""
        self._wrong[point] = wrong
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps([point.stage, point.kind, point.fault, point.at, wrong]) + "\n")

    @property
    def rows(self) -> list[dict[str, str | int]]:
        """The counts by fault and point, in the form of reports/reliability.json."""
        tried: Counter[tuple[str, str]] = Counter()
        held: Counter[tuple[str, str]] = Counter()
        for point, wrong in self._wrong.items():
            row = point.fault, f"{point.stage}: {point.kind}"
            tried[row] += 1
            held[row] += wrong is None
        return [
            {
                "fault": fault,
                "point": point,
                "tried": tried[fault, point],
                "held": held[fault, point],
            }
            for fault, point in sorted(tried)
        ]

    @property
    def broken(self) -> list[str]:
        """The broken promises, one line each."""
        return [f"{point}: {wrong}" for point, wrong in self._wrong.items() if wrong]


def _wrong_end(tried: Try, fault: str) -> str | None:
    if tried.code == FINISHED or (tried.code == KILLED and fault in KILLING):
        return None
    lines = [line for line in tried.said.splitlines() if line.startswith("error: ")]
    if tried.code == TOLD and len(lines) == len(tried.said.splitlines()) == 1:
        return None
    return f"it ends with {tried.code}: {tried.said[-500:]}"
