"""The training of one run, from its specification to its result."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lr_ceiling.errors import DatasetError
from lr_ceiling.mnist.dataset import SplitName, read_split, splits_digest, stratified_sample
from lr_ceiling.mnist.engine import Data, Engine, Images
from lr_ceiling.mnist.model_file import save_model
from lr_ceiling.mnist.results import Check, Curve, RunResult
from lr_ceiling.mnist.specification import Activation, Optimizer, RunSpec, Variant
from lr_ceiling.problems.judge import Judge

# Steps per call: a call costs under 1 ms, and a hopeless run ends at the end of a call.
CHUNK_STEPS = 25

# Steps per bin of the stored curve.
BIN_STEPS = 25

# Steps between gradient probes, which the judge needs for its rule `dead`.
PROBE_STEPS = 250

PROBE_IMAGES = 100

# Steps between evaluations of the validation sample. With batch norm, an evaluation of the whole
# split costs 4% of an epoch, of the sample 0.4%; the two together were 4.7 - 5.6%, n = 3.
CHECK_STEPS = 1000

CHECK_IMAGES = 500


def fit(
    spec: RunSpec,
    splits: Path,
    model: Path | None = None,
    test: bool = False,
    on_steps: Callable[[int], None] | None = None,
) -> RunResult:
    """Train one run of `spec` on the splits file, and return its result.

    Saves the trained network to `model` and measures the test accuracy if requested. `on_steps` is
    called with the number of steps taken so far. The result depends on `spec` and the splits alone.
    Raises DatasetError for a splits file that can't be read or holds other images.
    """
    data = _load(splits, spec.data_digest)
    engine = _engine(spec.variant, spec.activation, spec.optimizer)
    engine.start(spec.seed, spec.init_scale)
    judge = Judge(spec.target_accuracy, spec.horizon)
    order = batches(spec.seed, len(data.train.labels), spec.batch_size, spec.horizon)
    losses: list[float] = []
    accuracies: list[float] = []
    checks: list[Check] = []
    for step, chunk in _chunks(order, spec.steps_per_epoch):
        seen_losses, seen_accuracies, finite = engine.train(data.train, chunk, spec.learning_rate)
        losses += seen_losses.tolist()
        accuracies += seen_accuracies.tolist()
        judge.observe(losses[-len(chunk) :], accuracies[-len(chunk) :], finite)
        if step % PROBE_STEPS == 0 and judge.wants_gradient:
            judge.probe(engine.gradient(data.probe))
        if on_steps:
            on_steps(step)
        if judge.ends(spec.ended_by):
            break
        if step % spec.steps_per_epoch == 0:
            checks.append(engine.check(step, data.validation))
        elif step % CHECK_STEPS == 0:
            checks.append(engine.check(step, data.sample))
    if not checks or checks[-1].step < len(losses):
        checks.append(engine.check(len(losses), data.validation))
    reestimated = None if judge.called == "diverged" else engine.reestimated(data)
    if model:
        save_model(engine.trained(spec.seed), model)
    return RunResult(
        spec=spec,
        label=judge.label(
            checks[-1].inference if reestimated is None else reestimated,
            ended_early=len(losses) < spec.horizon,
        ),
        called=judge.called,
        called_at=judge.called_at,
        called_stable_at=judge.called_stable_at,
        steps=len(losses),
        parameters=engine.parameters,
        steps_to_95=judge.steps_to_95,
        validation_accuracy=checks[-1].inference,
        reestimated_accuracy=reestimated,
        test_accuracy=engine.accuracy(data.test, training=False) if test else None,
        checks=tuple(checks),
        curve=_curve(losses, accuracies),
    )


def batches(seed: int, images: int, batch_size: int, steps: int) -> npt.NDArray[np.int32]:
    """Image indices (steps, batch_size) of each step: a new permutation in each pass."""
    # The kernels use the seed itself, the order uses its first child.
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    passes = -(-steps * batch_size // images)
    order = np.concatenate([generator.permutation(images) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


@lru_cache
def _engine(variant: Variant, activation: Activation, optimizer: Optimizer) -> Engine:
    return Engine(variant, activation, optimizer)


@lru_cache(maxsize=1)
def _load(splits: Path, digest: str) -> Data:
    found = splits_digest(splits)
    if found != digest:
        raise DatasetError(
            f"{splits} holds other images than the run asks for (digest {found}, wanted {digest}): "
            "run `dvc repro validate`"
        )
    train, validation = _read(splits, "train"), _read(splits, "validation")
    return Data(
        train=train,
        probe=_sample(train, PROBE_IMAGES),
        validation=validation,
        sample=_sample(validation, CHECK_IMAGES),
        test=_read(splits, "test"),
    )


def _read(splits: Path, split: SplitName) -> Images:
    arrays = read_split(splits, split)
    return Images(
        tf.constant(arrays.images[..., np.newaxis]), tf.constant(arrays.labels.astype(np.int32))
    )


def _sample(data: Images, count: int) -> Images:
    chosen = stratified_sample(data.labels.numpy(), count)
    return Images(tf.gather(data.images, chosen), tf.gather(data.labels, chosen))


def _chunks(
    order: npt.NDArray[np.int32], steps_per_epoch: int
) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
    """Cut the batches at multiples of CHUNK_STEPS and at ends of epochs; yield each end's step."""
    steps = len(order)
    cuts = {*range(0, steps, CHUNK_STEPS), *range(0, steps, steps_per_epoch), steps}
    for start, end in itertools.pairwise(sorted(cuts)):
        yield end, order[start:end]


def _curve(losses: Sequence[float], accuracies: Sequence[float]) -> Curve:
    starts = range(0, len(losses), BIN_STEPS)
    ends = [min(start + BIN_STEPS, len(losses)) for start in starts]
    bins = [np.array(losses[start:end]) for start, end in zip(starts, ends, strict=True)]
    return Curve(
        steps=tuple(ends),
        loss=tuple(_finite(b.mean()) for b in bins),
        loss_min=tuple(_finite(b.min()) for b in bins),
        loss_max=tuple(_finite(b.max()) for b in bins),
        accuracy=tuple(
            float(np.mean(accuracies[start:end])) for start, end in zip(starts, ends, strict=True)
        ),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
