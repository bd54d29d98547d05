"""Every operation of every stage, under every fault: what was tried, and what held."""

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
    """A stage's `at`th operation on the disk, and what happens there."""

    stage: str
    kind: str
    fault: str
    at: int


class Campaign:
    """Tries each point once: the stage under the fault, then the stage again without one.

    What must hold: the stage finishes, or ends with one line, or is killed as it was meant to be;
    no file of an output is there in part; the champion's file is whole; and the second time the
    stage finishes and leaves, to the byte, what it leaves on a quiet day.
    """

    def __init__(self, folder: Path, database: Path | None = None) -> None:
        """`folder` is for what is tried; `database` an empty one of MLflow's for its stages."""
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
        """The project's folder, in which each try is."""
        return self._folder / "project"

    @property
    def stages(self) -> list[str]:
        """The names of the stages, in their order."""
        return list(self._quiet)

    def before(self, stage: str) -> Path:
        """A copy of the project as a stage finds it."""
        return self._before[stage]

    def after(self, stage: str) -> Path:
        """A copy of the project as a stage leaves it on a quiet day."""
        return self._quiet[stage]

    def points(self, step: Callable[[str], int] = lambda stage: 1) -> Iterator[Point]:
        """All points, or of a stage every `step`th operation."""
        for stage, operations in self._operations.items():
            for at, operation in enumerate(operations, 1):
                if (at - 1) % step(stage):
                    continue
                for fault in INJECTED:
                    if fault != FAULTS[3] or operation.kind == "write":
                        yield Point(stage, operation.kind, fault, at)

    def wrong(self, point: Point) -> str | None:
        """What did not hold at a point; None where all did."""
        self._lay_out(self._before[point.stage])
        return self.wrong_here(point, point.fault, point.at)

    def wrong_here(
        self, point: Point, fault: str = "none", at: int = 0, then: Callable[[], None] | None = None
    ) -> str | None:
        """What did not hold in a project that is laid out; `then` ends what is wrong there."""
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
    """What was tried so far, a line each in a file: a campaign that was stopped goes on."""

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
        """Keep what came of a point."""
        self._wrong[point] = wrong
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps([point.stage, point.kind, point.fault, point.at, wrong]) + "\n")

    @property
    def rows(self) -> list[dict[str, str | int]]:
        """Counts by fault and point, as reports/reliability.json has them."""
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
        """What did not hold."""
        return [f"{point}: {wrong}" for point, wrong in self._wrong.items() if wrong]


def _wrong_end(tried: Try, fault: str) -> str | None:
    if tried.code == FINISHED or (tried.code == KILLED and fault in KILLING):
        return None
    lines = [line for line in tried.said.splitlines() if line.startswith("error: ")]
    if tried.code == TOLD and len(lines) == len(tried.said.splitlines()) == 1:
        return None
    return f"it ends with {tried.code}: {tried.said[-500:]}"
