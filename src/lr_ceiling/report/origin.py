"""Where results come from: what they follow from, and the executions that made them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from lr_ceiling.execution import provenance
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.version import LIBRARIES, engine_digest
from lr_ceiling.report.findings import Findings

# Named on the page: what makes the numbers.
SHOWN = (*LIBRARIES, "optuna", "scipy", "great-expectations", "mlflow", "dvc")


@dataclass(frozen=True)
class Origin:
    """What results follow from, and what they took.

    `params` is the identity of all runs' and studies' specifications, `engine` that of what trains.
    """

    params: str
    engine: str
    versions: dict[str, str]
    runs: int
    steps: int
    spec: RunSpec


@dataclass(frozen=True)
class Executed:
    """When, for how long, where and from which commits runs were executed."""

    runs: int
    started: str
    core_hours: float
    machines: list[str]
    commits: list[str]


def origin_of(found: Findings) -> Origin:
    """What these findings follow from."""
    runs = found.runs
    return Origin(
        params=digest_of([run.spec.key for run in runs], [study.key for study in found.studies]),
        engine=engine_digest(),
        versions={name: version(name) for name in SHOWN},
        runs=len(runs),
        steps=sum(run.steps for run in runs),
        spec=found.spec,
    )


def executed_by(runs: Iterable[RunResult]) -> Executed | None:
    """The executions of these runs, as far as they are known; None where none is."""
    known = [facts for run in runs if (facts := provenance.read_facts(run.spec.key))]
    if not known:
        return None
    started = datetime.fromtimestamp(min(one.started for one in known), UTC)
    return Executed(
        runs=len(known),
        started=f"{started:%Y-%m-%d %H:%M}",
        core_hours=sum(one.seconds for one in known) / 3600,
        machines=sorted({one.machine for one in known}),
        commits=sorted({one.commit for one in known if one.commit}),
    )
