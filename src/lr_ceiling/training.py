"""The training engine: ONE run, from its spec to its result.

Many steps are one call of a TensorFlow function, which gathers its batches from images that stay in
memory and returns the true loss of each step. docs/engine.md tells what each choice gave.
"""

import itertools
import json
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lr_ceiling import network
from lr_ceiling.dataset import SplitName, read_split, stratified_sample
from lr_ceiling.outcome import Judge
from lr_ceiling.runs import Activation, Check, Curve, Optimizer, RunResult, RunSpec, Variant

# Steps a call: a call costs under 1 ms, and a hopeless run ends at the end of one.
CHUNK_STEPS = 25
# Steps a bin of the stored curve.
BIN_STEPS = 25
# Steps between gradient probes, which the judge's rule for `dead` asks for.
PROBE_STEPS = 250
PROBE_IMAGES = 100
# Steps between looks at the sample of the validation split. With batch norm, a look at all of it
# costs 4% of an epoch, a look at the sample 0.4%; the two together were 4.7 - 5.6%, n = 3.
CHECK_STEPS = 1000
CHECK_IMAGES = 500
# Training images over which batch norm's statistics are taken anew: their average is as if the
# moving averages had stood still for 100 batches, at 0.7 s.
REESTIMATION_IMAGES = 10_000
# Images at a time in evaluation, and so in batch norm's statistics in training mode: 100 images of
# the largest layer fit the cache, which is 10% faster than 500.
EVALUATION_BATCH = 100
# Keras's default for batch norm's moving averages.
MOMENTUM = 0.99
# The date that saved models carry, so that equal networks have equal bytes.
SAVED = "1980-01-01@00:00:00"

Floats = npt.NDArray[np.float32]


def configure() -> None:
    """Give this process's TensorFlow one thread and no GPU; call it before anything else does."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.set_visible_devices([], "GPU")


def fit(
    spec: RunSpec,
    splits: Path,
    model: Path | None = None,
    test: bool = False,
    on_steps: Callable[[int], None] | None = None,
) -> RunResult:
    """Train one run of `spec` on the splits file and say what it showed.

    Saves the trained network to `model` and measures the test accuracy if asked; `on_steps` is
    told after each call how many steps have been taken. The result depends on `spec` and the splits
    alone. Raises DatasetError for a splits file that can't be read.
    """
    data = _load(splits, spec.data_digest)
    engine = _engine(spec.variant, spec.activation, spec.optimizer)
    engine.start(spec.seed, spec.init_scale)
    judge = Judge(spec.target_accuracy)
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
        if judge.called == "diverged" or judge.called in spec.ended_by:
            break
        if step % spec.steps_per_epoch == 0:
            checks.append(engine.check(step, data.validation))
        elif step % CHECK_STEPS == 0:
            checks.append(engine.check(step, data.sample))
    if not checks or checks[-1].step < len(losses):
        checks.append(engine.check(len(losses), data.validation))
    reestimated = None
    if judge.called != "diverged" and checks[-1].inference < spec.target_accuracy:
        reestimated = engine.reestimated(data)
    if model:
        _save(engine.trained(spec.seed), model)
    return RunResult(
        spec=spec,
        label=judge.label(checks[-1].inference, ended_early=len(losses) < spec.horizon),
        called=judge.called,
        called_at=judge.called_at,
        steps=len(losses),
        parameters=engine.parameters,
        steps_to_95=judge.steps_to_95,
        validation_accuracy=checks[-1].inference,
        reestimated_accuracy=reestimated,
        test_accuracy=engine.accuracy(_read(splits, "test"), training=False) if test else None,
        checks=tuple(checks),
        curve=_curve(losses, accuracies),
    )


def batches(seed: int, images: int, batch_size: int, steps: int) -> npt.NDArray[np.int32]:
    """Indices (steps, batch_size) of the images of each step: a new permutation each pass."""
    # The kernels are drawn from the seed itself, the order from its first child.
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    passes = -(-steps * batch_size // images)
    order = np.concatenate([generator.permutation(images) for _ in range(passes)])
    return order[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


@dataclass(frozen=True)
class Images:
    """Images (n, 28, 28, 1) as uint8 and labels (n,) as int32, in TensorFlow's memory."""

    images: tf.Tensor
    labels: tf.Tensor


@dataclass(frozen=True)
class _Data:
    train: Images
    probe: Images
    validation: Images
    sample: Images


class Engine:
    """The network of one arm and its compiled functions; each run starts it anew from its seed.

    Compiling takes about a second, so a worker keeps its engines.
    """

    def __init__(self, variant: Variant, activation: Activation, optimizer: Optimizer) -> None:
        """Build the network and its optimizer's state; functions compile when they are called."""
        self._arm = (variant, activation)
        self._optimizer = optimizer
        self._model = network.build(variant, activation, seed=0)
        self._weights = [weight.value for weight in self._model.trainable_variables]
        self._averages = [average.value for average in self._model.non_trainable_variables]
        self._means = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._squares = [tf.Variable(tf.zeros_like(weight)) for weight in self._weights]
        self._steps_taken = 0
        images, labels = tf.TensorSpec([None, 28, 28, 1], tf.uint8), tf.TensorSpec([None], tf.int32)
        order, count = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([], tf.int32)
        rate = tf.TensorSpec([], tf.float32)
        self._train = tf.function(self._take_steps, [images, labels, order, count, rate])
        self._probe = tf.function(self._largest_gradient, [images, labels])
        self._statistics = tf.function(self._mean_statistics, [images])
        self._right = {
            training: tf.function(partial(self._count_right, training), [images, labels])
            for training in (False, True)
        }

    @property
    def parameters(self) -> int:
        """Trainable parameters."""
        return sum(int(np.prod(weight.shape)) for weight in self._weights)

    def start(self, seed: int, init_scale: float = 1.0) -> None:
        """Forget what was learned and draw the initial weights of `seed`."""
        self._model.set_weights(network.build(*self._arm, seed, init_scale).get_weights())
        for slot in self._means + self._squares:
            slot.assign(tf.zeros_like(slot))
        self._steps_taken = 0

    def trained(self, seed: int) -> keras.Sequential:
        """The network as it stands, in a model of its own that was built from `seed`."""
        model = network.build(*self._arm, seed)
        model.set_weights(self._model.get_weights())
        return model

    def train(
        self, data: Images, order: npt.NDArray[np.int32], learning_rate: float
    ) -> tuple[Floats, Floats, bool]:
        """Take a step on each batch of `order` (steps, batch size), which holds indices of images.

        Returns loss and accuracy of each step (steps,), before its update, and whether all weights
        are finite after the last.
        """
        losses, accuracies, finite = self._train(
            data.images,
            data.labels,
            tf.constant(order),
            tf.constant(self._steps_taken),
            tf.constant(learning_rate, tf.float32),
        )
        self._steps_taken += len(order)
        return losses.numpy(), accuracies.numpy(), bool(finite)

    def gradient(self, data: Images) -> float:
        """The largest absolute gradient of a weight outside the output layer, on `data`."""
        return float(self._probe(data.images, data.labels))

    def check(self, step: int, data: Images) -> Check:
        """Accuracy on `data` now, after `step` steps, in inference and in training mode."""
        return Check(
            step=step,
            images=len(data.labels),
            inference=self.accuracy(data, training=False),
            training=self.accuracy(data, training=True) if self._averages else None,
        )

    def accuracy(self, data: Images, training: bool) -> float:
        """Share of `data` that is classified right; in training mode, in batches of 100."""
        return int(self._right[training](data.images, data.labels)) / len(data.labels)

    def reestimated(self, data: _Data) -> float | None:
        """Inference accuracy on the validation split with batch norm's averages taken anew.

        They are the means over batches of training images of what the weights now give. None for a
        network without batch norm; the network is left as it was.
        """
        if not self._averages:
            return None
        kept = [average.numpy() for average in self._averages]
        for average, value in zip(self._averages, self._statistics(data.train.images), strict=True):
            average.assign(value)
        accuracy = self.accuracy(data.validation, training=False)
        for average, value in zip(self._averages, kept, strict=True):
            average.assign(value)
        return accuracy

    def _mean_statistics(self, images: tf.Tensor) -> list[tf.Tensor]:
        batches = tf.minimum(tf.shape(images)[0], REESTIMATION_IMAGES) // EVALUATION_BATCH
        totals = [tf.zeros_like(average) for average in self._averages]
        for i in tf.range(batches):
            start = i * EVALUATION_BATCH
            batch = images[start : start + EVALUATION_BATCH]
            _, statistics = network.logits(self._model, batch, training=True)
            totals = [total + value for total, value in zip(totals, statistics, strict=True)]
        return [total / tf.cast(batches, tf.float32) for total in totals]

    def _take_steps(
        self,
        images: tf.Tensor,
        labels: tf.Tensor,
        order: tf.Tensor,
        steps_taken: tf.Tensor,
        rate: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        steps = tf.shape(order)[0]
        losses = tf.TensorArray(tf.float32, steps, element_shape=[])
        accuracies = tf.TensorArray(tf.float32, steps, element_shape=[])
        for i in tf.range(steps):
            truth = tf.gather(labels, order[i])
            with tf.GradientTape() as tape:
                logits, statistics = network.logits(
                    self._model, tf.gather(images, order[i]), training=True
                )
                loss = _loss(logits, truth)
            self._update(tape.gradient(loss, self._weights), steps_taken + i + 1, rate)
            for average, value in zip(self._averages, statistics, strict=True):
                average.assign_add((value - average) * (1 - MOMENTUM))
            losses = losses.write(i, loss)
            accuracies = accuracies.write(i, tf.reduce_mean(tf.cast(_hits(logits, truth), "float")))
        finite = [tf.reduce_all(tf.math.is_finite(weight)) for weight in self._weights]
        return losses.stack(), accuracies.stack(), tf.reduce_all(finite)

    def _update(self, gradients: list[tf.Tensor], step: tf.Tensor, rate: tf.Tensor) -> None:
        if self._optimizer == "sgd":
            for weight, gradient in zip(self._weights, gradients, strict=True):
                weight.assign_sub(rate * gradient)
            return
        step = tf.cast(step, tf.float32)
        slots = zip(self._weights, self._means, self._squares, gradients, strict=True)
        for weight, mean, square, gradient in slots:
            # Keras's Adam with its defaults, in one operation instead of twelve.
            tf.raw_ops.ResourceApplyAdam(
                var=weight.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=tf.pow(0.9, step),
                beta2_power=tf.pow(0.999, step),
                lr=rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-7,
                grad=gradient,
            )

    def _largest_gradient(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        hidden = [w.value for w in self._model.trainable_variables if "/output" not in w.path]
        with tf.GradientTape() as tape:
            logits, _ = network.logits(self._model, images, training=True)
            loss = _loss(logits, labels)
        return tf.reduce_max([tf.reduce_max(tf.abs(g)) for g in tape.gradient(loss, hidden)])

    def _count_right(self, training: bool, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        right = tf.constant(0, tf.int64)
        for start in tf.range(0, tf.shape(labels)[0], EVALUATION_BATCH):
            batch = slice(start, start + EVALUATION_BATCH)
            logits, _ = network.logits(self._model, images[batch], training)
            right += tf.math.count_nonzero(_hits(logits, labels[batch]))
        return right


def _loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
    )


def _hits(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.equal(tf.argmax(logits, 1, tf.int32), labels)


@lru_cache
def _engine(variant: Variant, activation: Activation, optimizer: Optimizer) -> Engine:
    return Engine(variant, activation, optimizer)


@lru_cache(maxsize=1)
def _load(splits: Path, digest: str) -> _Data:
    # The digest is in the key alone: other data at the same path is read anew.
    train, validation = _read(splits, "train"), _read(splits, "validation")
    return _Data(
        train=train,
        probe=_sample(train, PROBE_IMAGES),
        validation=validation,
        sample=_sample(validation, CHECK_IMAGES),
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
    """Cut the batches at multiples of CHUNK_STEPS and at epochs' ends; with the step after each."""
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


def _save(model: keras.Model, path: Path) -> None:
    """Save a `.keras` file whose bytes depend on the network and its weights alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with tempfile.TemporaryDirectory() as folder:
            dated = Path(folder) / "model.keras"
            model.save(dated)
            with zipfile.ZipFile(dated) as source, zipfile.ZipFile(partial, "w") as target:
                for name in sorted(source.namelist()):
                    # A ZipInfo's own date is 1980-01-01.
                    target.writestr(zipfile.ZipInfo(name), _still(name, source.read(name)))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _still(member: str, content: bytes) -> bytes:
    """A member of the archive without what is new with each save."""
    if member == "metadata.json":
        return json.dumps(json.loads(content) | {"date_saved": SAVED}).encode()
    if member == "config.json":
        # Keras numbers objects that layers share by their address in memory; here by their order.
        ids: dict[bytes, int] = {}
        return re.sub(
            rb'(?<="shared_object_id": )\d+',
            lambda found: str(ids.setdefault(found[0], len(ids))).encode(),
            content,
        )
    return content
