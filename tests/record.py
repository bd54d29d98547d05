"""Record what the judge sees of real runs, for tests/problems/test_judge.py.

`python tests/record.py SPLITS [NAME...]`, of all runs or of some. Each becomes a file in
tests/recorded: loss and hits of every step, the gradient at every probe that the judge asked for,
and the inference accuracy at the end. None is ended early.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lr_ceiling.mnist import training
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.pipeline import params
from lr_ceiling.problems.judge import Judge

FOLDER = Path(__file__).parent / "recorded"
# Variant, activation, learning rate, seed.
RUNS: dict[str, tuple[str, str, float, int]] = {
    "relu-edge": ("baseline", "relu", 0.0184, 0),
    "relu-dead": ("baseline", "relu", 0.05, 0),
    "sigmoid-late-escape": ("baseline", "sigmoid", 0.0063, 1),
    "sigmoid-plateau": ("baseline", "sigmoid", 0.0063, 0),
    "sigmoid-exploded": ("baseline", "sigmoid", 10000.0, 0),
    "batchnorm-relu-large": ("batchnorm", "relu", 14000.0, 0),
    "batchnorm-sigmoid-slow": ("batchnorm", "sigmoid", 1.0, 0),
}


class Recorder(Judge):
    """A judge that writes down what it is told."""

    seen: "Recorder"

    def __init__(self, target_accuracy: float, horizon: int) -> None:
        super().__init__(target_accuracy, horizon)
        self.losses: list[float] = []
        self.accuracies: list[float] = []
        self.probes: list[tuple[int, float]] = []
        Recorder.seen = self

    def observe(
        self, losses: Sequence[float], accuracies: Sequence[float], finite_weights: bool = True
    ) -> None:
        """Take in the next steps."""
        assert finite_weights
        self.losses += losses
        self.accuracies += accuracies
        super().observe(losses, accuracies, finite_weights)

    def probe(self, gradient: float) -> None:
        """Take in a gradient."""
        self.probes.append((len(self.losses), gradient))
        super().probe(gradient)


def main() -> None:
    """Record the runs."""
    splits = Path(sys.argv[1])
    training.Judge = Recorder  # type: ignore[attr-defined]
    FOLDER.mkdir(exist_ok=True)
    for name in sys.argv[2:] or RUNS:
        variant, activation, learning_rate, seed = RUNS[name]
        spec = RunSpec.of(
            params.load().training,
            variant=variant,
            activation=activation,
            learning_rate=learning_rate,
            seed=seed,
            data_digest=splits_digest(splits),
        )
        run = training.fit(spec, splits)
        recorder = Recorder.seen
        np.savez_compressed(
            FOLDER / f"{name}.npz",
            losses=np.array(recorder.losses, np.float32),
            hits=np.round(np.array(recorder.accuracies) * spec.batch_size).astype(np.int8),
            probes=np.array(recorder.probes, np.float64).reshape(-1, 2),
            accuracy=np.float64(run.validation_accuracy),
        )
        print(name, run.label, run.called, run.called_at, run.steps_to_95, run.validation_accuracy)


if __name__ == "__main__":
    main()
