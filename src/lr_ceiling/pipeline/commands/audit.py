"""Audit the judge: let runs that it would have ended run on, and count those that became stable.

A search ends hopeless runs early. Whether such a call is ever wrong can't be seen there, since the
run is over; here it runs on to its horizon.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy import stats

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.records import Audit, AuditedRule
from lr_ceiling.evidence.runs import run_all
from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.files import write_json
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.dataset import splits_digest
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.terminal import print_table, step_progress
from lr_ceiling.pipeline.workers import workers
from lr_ceiling.problems.judge import Label

# With none wrong among so many, the share of wrong calls is below 5% with 95% confidence.
NEEDED = 59
# A rule that fires in less than one run of four, of the first 30, is not looked for any longer.
LOOKS, SELDOM = 30, 0.25
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Ground:
    """Where a rule is audited: an arm and learning rates between which runs are drawn."""

    variant: Variant
    activation: Activation
    low: float
    high: float


# From where an arm's first runs fail: near the ceiling a call is most likely to be wrong.
GROUNDS: dict[Label, tuple[Ground, ...]] = {
    "dead": (
        Ground("baseline", "relu", 0.014, 0.1),
        Ground("baseline", "sigmoid", 0.005, 0.05),
        Ground("baseline", "relu", 0.1, 100),
        Ground("baseline", "sigmoid", 0.05, 100),
    ),
    "exploded": (Ground("baseline", "sigmoid", 100, 1e5),),
    "lost": (Ground("baseline", "relu", 0.012, 0.018),),
}


@click.command()
@click.argument("splits", type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="the report")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="folder of runs")
@one_line_errors
def main(splits: Path, output: Path, state: Path) -> None:
    """Audit the early calls; an audit that was stopped goes on where it was."""
    values = params.load()
    template = RunSpec.of(
        values.training,
        variant="baseline",
        activation="relu",
        learning_rate=1.0,
        seed=0,
        data_digest=splits_digest(splits),
    )
    audited: dict[Label, list[RunResult]] = {}
    total = len(GROUNDS) * NEEDED * template.horizon
    with (
        step_progress("audit", total) as progress,
        workers(values.workers.processes, progress.of("")) as runner,
    ):

        def told(run: RunResult) -> None:
            called = f"called {run.called} after {run.called_at:,}" if run.called else "not called"
            progress.say(f"{run.spec.name}: {called}, then {run.label}")

        for rule, grounds in GROUNDS.items():
            audited[rule] = audit(
                rule,
                grounds,
                template,
                lambda specs: run_all(specs, splits, RunStore(state), runner, told),
            )
            # What is known so far, should this be stopped: a rule without runs may end none.
            rules = tuple(summarise(name, audited.get(name, [])) for name in GROUNDS)
            write_json(output, Audit(horizon_steps=template.horizon, rules=rules).model_dump())
    print_table(
        "audit",
        ("rule", "calls not followed", "became stable", "share of wrong calls below"),
        [
            (rule.rule, str(rule.audited), str(rule.wrong), f"{rule.wrong_share_below:.3f}")
            for rule in rules
        ],
    )


def audit(
    rule: Label,
    grounds: Sequence[Ground],
    template: RunSpec,
    run: Callable[[Sequence[RunSpec]], list[RunResult]],
) -> list[RunResult]:
    """Runs that `rule` would have ended, run on; 59 or more where the grounds give so many."""
    runs: list[RunResult] = []
    fired: list[RunResult] = []
    while len(fired) < NEEDED and not (len(runs) >= LOOKS and len(fired) < SELDOM * len(runs)):
        # As many as must run anyway, so that all workers have work.
        more = NEEDED - len(fired) if runs else LOOKS
        places = range(len(runs), len(runs) + more)
        runs += run(
            [draw(rule, index, grounds[index % len(grounds)], template) for index in places]
        )
        fired = [one for one in runs if one.called == rule]
    return fired


def draw(rule: Label, index: int, ground: Ground, template: RunSpec) -> RunSpec:
    """A run of a fresh seed at a learning rate drawn log-uniformly from the ground."""
    seed = derived_seed("audit", rule, index)
    rate = ground.low * (ground.high / ground.low) ** np.random.default_rng(seed).random()
    changes = {
        "variant": ground.variant,
        "activation": ground.activation,
        "learning_rate": float(rate),
        "seed": seed,
    }
    return template.model_copy(update=changes)


def summarise(rule: Label, runs: Sequence[RunResult]) -> AuditedRule:
    """How many of the calls were wrong."""
    wrong = sum(run.label == "stable" for run in runs)
    # Clopper and Pearson's one-sided limit; without a run it is 1.
    below = stats.beta.ppf(CONFIDENCE, wrong + 1, len(runs) - wrong) if len(runs) > wrong else 1.0
    arms = Counter(f"{run.spec.variant}-{run.spec.activation}" for run in runs)
    return AuditedRule(
        rule=rule,
        audited=len(runs),
        wrong=wrong,
        wrong_share_below=round(float(below), 4),
        arms=dict(sorted(arms.items())),
    )


if __name__ == "__main__":
    main()
