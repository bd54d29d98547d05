"""The model card of a version that goes live: what it is, how good, what for, and what it can't do.

It is the version's description in MLflow's registry, and `state/model-card.md`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from lr_ceiling.evidence.records import UsableRate
from lr_ceiling.live import last_known
from lr_ceiling.live.accuracy import BINS, Estimate
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.report.words import in_short

if TYPE_CHECKING:
    from lr_ceiling.live.gate import Decision, Entrant

NETWORKS = {"baseline": "without batch norm", "batchnorm": "with batch norm"}
# MLflow's databases keep no longer description.
MAX_LENGTH = 5000

INTENDED = """\
## Meant for

Telling handwritten digits apart in pictures prepared as MNIST's are: one digit from 0 to 9,
centred, 28 x 28 pixels in grey. It takes images (n, 28, 28, 1) with pixels from 0 (paper) to 1
(ink), and gives ten probabilities an image. `lr-ceiling predict` prepares a picture so.

## What it can't do

- It has no answer for "no digit": a letter, an empty image or noise gets a digit too, often with a
  high probability.
- Other pictures were not measured: photographs, ink lighter than the paper, several digits, digits
  off the centre or of another size, hands unlike those of MNIST's writers (American, around 1990).
- The gate's images come from the same source as those it was trained on. On other digits expect a
  lower accuracy, and probabilities that promise too much.
- Nobody has tried to deceive it on purpose. Let no decision that can harm anyone rest on it alone.
"""


def path() -> Path:
    """The card of the model that was promoted last."""
    return last_known.path().with_name("model-card.md")


def model_card(decision: "Decision", run: RunResult, usable: UsableRate) -> str:
    """The card of the challenger of a promotion, in markdown of at most MAX_LENGTH characters.

    `run` trained it, and `usable` is the usable learning rate of the run's arm. The decision has
    measured the challenger.
    """
    challenger = decision.challenger
    assert challenger
    parts = (
        f"# {decision.model}, version {challenger.version}\n",
        f"A small convolutional network that tells the ten digits of MNIST apart, put live on "
        f"{decision.decided[:10]} by `lr-ceiling promote`.\n",
        _table("What it is", _origin(challenger, run, usable)),
        _table("How good it is", _measured(decision, challenger)),
        f"Measured on {decision.gate_images:,} gate images, on which nothing was trained and "
        "nothing else was decided. Intervals are of 95%.\n",
        INTENDED,
    )
    return "\n".join(parts)


def _origin(challenger: "Entrant", run: RunResult, usable: UsableRate) -> dict[str, str]:
    spec, tags = run.spec, challenger.origin
    return {
        "network": f"{NETWORKS[spec.variant]}, {spec.activation}; {run.parameters:,} parameters",
        "learning rate": f"{spec.learning_rate:g}, {spec.optimizer}; by all runs of this network "
        f"no accuracy is lost up to {in_short(usable)}",
        "trained for": f"{spec.horizon:,} steps of {spec.batch_size} images",
        "cell, seed": f"`{tags['cell']}`, {spec.seed}",
        "data": f"MNIST's training images, digest `{spec.data_digest}`",
        "run": f"`{spec.key}`, commit `{tags['commit']}`",
        "file": f"`model.keras`, {int(tags['bytes']):,} bytes, SHA-256 `{tags['sha256']}`",
    }


def _measured(decision: "Decision", challenger: "Entrant") -> dict[str, str]:
    measured, paired = challenger.measured, decision.paired
    assert measured
    worst = measured.worst_class
    if paired and decision.champion:
        against = (
            f"{_points(paired.difference)} against version {decision.champion.version} on the same "
            f"images; it alone is right on {paired.challenger_only_right}, the other alone on "
            f"{paired.champion_only_right}; exact McNemar p = {paired.p_value:.3g}; the limit is "
            f"{-100 * decision.margin:+.2f} points"
        )
    else:
        against = "there was no champion to be held against"
    return {
        "accuracy": f"{_percent(measured.accuracy)}; the floor is {100 * decision.floor:g}%",
        "worst digit": f"{worst.digit}, of which it recognises {100 * worst.recall:.2f}%",
        "calibration error": f"{measured.calibration_error:.4f}, the mean distance of confidence "
        f"from accuracy over {BINS} bins",
        "difference": against,
        "one image alone": f"{challenger.latency_ms:.1f} ms (median, one thread)",
    }


def _table(title: str, rows: dict[str, str]) -> str:
    lines = [f"## {title}", "", "| | |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items()), ""])


def _percent(share: Estimate) -> str:
    low, high = (100 * limit for limit in share.ci95)
    return f"{100 * share.estimate:.2f}% ({low:.2f} to {high:.2f})"


def _points(difference: Estimate) -> str:
    low, high = (100 * limit for limit in difference.ci95)
    return f"{100 * difference.estimate:+.2f} points ({low:+.2f} to {high:+.2f})"
