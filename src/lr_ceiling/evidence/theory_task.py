"""The theory of one arm, with one task per seed, and its stored findings."""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel

from lr_ceiling.execution.files import write_json
from lr_ceiling.execution.runner import Ended, Report
from lr_ceiling.identity import digest_of
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.version import run_digest

# Increased by hand when the computation of theory changes.
THEORY_VERSION = 1
# Steps of training before the second measurement, and their learning rate, the post's smaller one.
STEPS, RATE = 100, 0.001


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The critical learning rate of a seed at initialisation and after STEPS steps; None above 1e6.

    `logit_difference` and `gradient_ratio` are the effect of biases; None without batch norm.
    """

    initial: float | None
    trained: float | None
    logit_difference: float | None
    gradient_ratio: float | None


@dataclass(frozen=True)
class TheoryTask:
    """The theory of the network of `spec`, on the splits file."""

    spec: RunSpec
    splits: Path

    def __call__(self, report: Report) -> Finding:
        """Compute the finding, in a process that may import TensorFlow."""
        from lr_ceiling.evidence import theory

        initial, trained = theory.critical_rates(self.spec, self.splits, STEPS)
        batchnorm = self.spec.variant == "batchnorm"
        effect = theory.bias_effect(self.spec, self.splits) if batchnorm else None
        difference, ratio = effect or (None, None)
        return Finding(
            initial=initial, trained=trained, logit_difference=difference, gradient_ratio=ratio
        )

    def __str__(self) -> str:
        return f"theory of {self.spec.name}"


def theory_specs(
    training: BaseModel, variant: str, activation: str, seeds: Iterable[int], data_digest: str
) -> list[RunSpec]:
    """The networks for the theory of an arm, one per seed."""
    return RunSpec.of_each(
        training,
        seeds,
        variant=variant,
        activation=activation,
        learning_rate=RATE,
        data_digest=data_digest,
    )


class ArmTheory:
    """Gives the seeds of an arm that are missing in `folder` as tasks, and stores the findings."""

    def __init__(self, specs: Sequence[RunSpec], splits: Path, folder: Path) -> None:
        self._specs = specs
        self._splits = splits
        self._folder = folder
        known = {spec: self._find(spec) for spec in specs}
        self._found = {spec: finding for spec, finding in known.items() if finding is not None}
        self._waiting = deque(spec for spec, finding in known.items() if finding is None)

    @property
    def findings(self) -> list[Finding]:
        """The findings, in the order of the specs. All tasks must have ended."""
        return [self._found[spec] for spec in self._specs]

    def next(self) -> TheoryTask | None:
        """The next seed; None if all have started."""
        return TheoryTask(self._waiting.popleft(), self._splits) if self._waiting else None

    def take(self, ended: Ended) -> None:
        """Store a seed's finding."""
        spec: RunSpec = ended.task.spec
        self._found[spec] = ended.result
        kept = {"made_by": self._made_by(spec), **asdict(ended.result)}
        write_json(self._path(spec), kept)

    def _find(self, spec: RunSpec) -> Finding | None:
        try:
            kept = json.loads(self._path(spec).read_bytes())
            if kept.pop("made_by") == self._made_by(spec):
                return Finding(**kept)
        # Missing, damaged, or from other code, so it is computed again.
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            pass
        return None

    def _made_by(self, spec: RunSpec) -> str:
        return digest_of(THEORY_VERSION, STEPS, run_digest(), spec.key)

    def _path(self, spec: RunSpec) -> Path:
        return self._folder / f"{self._made_by(spec)}.json"
