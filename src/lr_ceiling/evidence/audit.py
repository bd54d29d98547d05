"""The audit of the judge: runs that it would have ended run on, and some may become stable.

A search ends hopeless runs early. Whether such a call is ever wrong can't be seen there, since the
run is over; here it runs on to its horizon.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lr_ceiling.evidence.records import AuditedRule
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.problems.judge import Label

# With none wrong among so many, the share of wrong calls is below 5% with 95% confidence.
NEEDED = 59
# A rule that fires in less than one run of four, of the first 30, is not looked for any longer.
LOOKS, SELDOM = 30, 0.25
CONFIDENCE = 0.95

Run = Callable[[Sequence[RunSpec]], Sequence[RunSummary]]


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


def audit_all(
    template: RunSpec, run: Run, known: Iterable[AuditedRule] = ()
) -> Iterator[tuple[AuditedRule, ...]]:
    """Audit rule by rule; give all rules before the first and after each.

    A rule whose turn has not come is as `known` says, by default without runs: such a one may end
    no trial.
    """
    rules = {rule: summarise(rule, []) for rule in GROUNDS} | {one.rule: one for one in known}
    yield tuple(rules.values())
    for rule, grounds in GROUNDS.items():
        rules[rule] = summarise(rule, audit(rule, grounds, template, run))
        yield tuple(rules.values())


def audit(rule: Label, grounds: Sequence[Ground], template: RunSpec, run: Run) -> list[RunSummary]:
    """Runs that `rule` would have ended, run on; 59 or more where the grounds give so many."""
    runs: list[RunSummary] = []
    fired: list[RunSummary] = []
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


def summarise(rule: Label, runs: Sequence[RunSummary]) -> AuditedRule:
    """How many of the calls were wrong."""
    wrong = sum(run.label == "stable" for run in runs)
    arms = Counter(f"{run.spec.variant}-{run.spec.activation}" for run in runs)
    return AuditedRule(
        rule=rule,
        audited=len(runs),
        wrong=wrong,
        wrong_share_below=round(most_wrong(wrong, len(runs)), 4),
        arms=dict(sorted(arms.items())),
    )


def most_wrong(wrong: int, calls: int) -> float:
    """Clopper and Pearson's one-sided limit of the share of wrong calls; without a call it is 1."""
    if not calls:
        return 1.0
    test = stats.binomtest(wrong, calls, alternative="less")
    return float(test.proportion_ci(CONFIDENCE, method="exact").high)


AUDIT_COLUMNS = ("rule", "calls not followed", "became stable", "share of wrong calls below")


def audit_rows(rules: Iterable[AuditedRule]) -> list[tuple[str, ...]]:
    """What the audit says of each rule: rows under AUDIT_COLUMNS."""
    return [
        (rule.rule, str(rule.audited), str(rule.wrong), f"{rule.wrong_share_below:.3f}")
        for rule in rules
    ]


def in_words(run: RunSummary) -> str:
    """What an audited run came to."""
    called = f"called {run.called} after {run.called_at:,}" if run.called else "not called"
    return f"{run.spec.name}: {called}, then {run.label}"
