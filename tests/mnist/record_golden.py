"""Record what short runs of each arm give here: `python tests/mnist/record_golden.py`.

tests/mnist/test_golden.py holds the engine against it. To be done after ENGINE_VERSION in
mnist/version.py was raised, or a library's version, and on a new kind of processor.
"""

import hashlib
import math
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.identity import processor, versions
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Split, Splits, splits_digest
from lr_ceiling.mnist.specification import Activation, Optimizer, RunSpec, Variant
from lr_ceiling.mnist.version import ENGINE_VERSION, LIBRARIES
from lr_ceiling.problems.judge import Judge

FILE = Path(__file__).with_name("golden.json")
ARMS: tuple[tuple[Variant, Activation, Optimizer], ...] = (
    ("baseline", "sigmoid", "adam"),
    ("baseline", "relu", "adam"),
    ("batchnorm", "sigmoid", "adam"),
    ("batchnorm", "relu", "adam"),
    ("batchnorm", "relu", "sgd"),
)
RATES = {"adam": 0.003, "sgd": 0.05}


def write_data(path: Path) -> None:
    """Splits of ten classes, each a pattern under noise: 30 steps learn them."""
    generator = np.random.default_rng(0)
    patterns = generator.integers(100, 156, (10, 28, 28)) * (generator.random((10, 28, 28)) < 0.2)

    def split(count: int) -> Split:
        labels = generator.integers(0, 10, count)
        images = patterns[labels] + generator.integers(0, 100, (count, 28, 28))
        return Split(images.astype(np.uint8), labels.astype(np.uint8))

    dataset.write_splits(path, Splits(*map(split, (400, 250, 10, 100))))


def measure(folder: Path) -> dict[str, dict[str, Any]]:
    """By arm: the digest of all that a run of it gives, and its mean loss over 25 steps."""
    splits = folder / "splits.npz"
    write_data(splits)
    return {"-".join(arm): _measure_arm(*arm, splits) for arm in ARMS}


def _measure_arm(
    variant: Variant, activation: Activation, optimizer: Optimizer, splits: Path
) -> dict[str, Any]:
    # Late, since a process of its own pins its environment before.
    from lr_ceiling.mnist import training

    spec = RunSpec(
        variant=variant,
        activation=activation,
        learning_rate=RATES[optimizer],
        seed=1,
        optimizer=optimizer,
        batch_size=32,
        epochs=2,
        steps_per_epoch=15,
        target_accuracy=0.999,
        data_digest=splits_digest(splits),
    )
    run = training.fit(spec, splits, test=True)
    engine = training._engine(variant, activation, optimizer)
    gradient = engine.gradient(training._load(splits, spec.data_digest).probe)
    digest = hashlib.sha256(run.model_dump_json(exclude={"spec"}).encode())
    digest.update(repr(gradient).encode())
    for weight in engine._model.get_weights():
        digest.update(weight.tobytes())
    return {"digest": digest.hexdigest(), "loss": run.curve.loss[0]}


def judgements() -> list[list[object]]:
    """What the judge says of runs made by hand, on any machine.

    A row a run: called, when, success, skill, two labels.
    """
    generator = random.Random(0)
    said: list[list[object]] = []
    for _ in range(20):
        judge = Judge(0.9, horizon=3000)
        accuracy = 0.1
        for chunk in range(120):
            # A new phase every ten chunks, on average.
            if generator.random() < 0.1 or not chunk:
                accuracy = generator.choice((0.1, 0.1, 0.15, 0.6, 0.92, 0.97))
                loss = generator.choice((0.1, 2.3, 2.3, 2e3, 2e3, math.inf if chunk > 80 else 2.3))
                gradient = generator.choice((1e-12, 1e-12, 1e-6))
            judge.observe([loss] * 25, [accuracy] * 25)
            if chunk % 10 == 9 and judge.wants_gradient:
                judge.probe(gradient)
        labels = [judge.label(accuracy, ended_early) for ended_early in (False, True)]
        said.append(
            [judge.called, judge.called_at, judge.called_stable_at, judge.steps_to_95, *labels]
        )
    return said


def place() -> str:
    """What decides the bytes besides the engine: processor and libraries."""
    libraries = ", ".join(f"{name} {version}" for name, version in versions(LIBRARIES).items())
    return f"{processor()}, {libraries}"


def main() -> None:
    """Put what this place gives into the file; records of other engine versions are dropped."""
    # The environment and TensorFlow as a worker has them.
    from lr_ceiling.mnist import preload

    preload.prepare()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    known: dict[str, Any] = read_json(FILE) if FILE.exists() else {"engine": None}
    records: dict[str, Any] = known["records"] if known["engine"] == ENGINE_VERSION else {}
    records[place()] = measured
    recorded = {
        "engine": ENGINE_VERSION,
        "judgements": judgements(),
        "records": dict(sorted(records.items())),
    }
    write_json(FILE, recorded)


if __name__ == "__main__":
    main()
