"""The audit of the judge: runs that it would have ended continue, to count wrong calls.

A search ends hopeless runs early, and runs that almost certainly train. A search can't see whether
such a call is wrong, since the run is over. In an audit the run continues to its horizon.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from lr_ceiling.evidence.early_calls import qualified
from lr_ceiling.evidence.records import AuditedArm, AuditedRule, Conditions
from lr_ceiling.identity import derived_seed
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.mnist.specification import Activation, RunSpec, Variant
from lr_ceiling.problems.judge import Label
from lr_ceiling.rounding import significant

# With no wrong call among this many, the share of wrong calls is below 5% with 95% confidence.
NEEDED = 59
# A rule is dropped if it fires in fewer than 3 of the first 30 runs, or in less than a quarter of
# the next 30, which are drawn from where it fired.
LOOKS, FEW, SELDOM = 30, 3, 0.25
# With no wrong call among 199 calls of success, the share of wrong calls is below 1.5%.
NEEDED_SUCCESSES = 199
# Success is audited within this factor of the rate where first runs fail, and fails at the first
# wrong call. Continuing until enough are right would pass a share of 1.5% in 9% of audits, not 5%.
ABOUT = 2.0
CONFIDENCE = 0.95
# A call is near the edge within a factor of ten above the rate where first runs fail. Transitions
# of the baselines are .1 to .3 decades wide. Further up hardly any run becomes stable, so any call
# is right there, and many right calls give no information about calls that may be wrong.
NEAR = 10.0

Run = Callable[[Sequence[RunSpec]], Sequence[RunSummary]]


@dataclass(frozen=True)
class Ground:
    """The range of an audit: an arm, and the decade above the rate where its first runs fail."""

    variant: Variant
    activation: Activation
    low: float

    @property
    def high(self) -> float:
        """The highest learning rate that is drawn: calls above it are not near the edge."""
        return NEAR * self.low


GROUNDS = (Ground("baseline", "relu", 0.012), Ground("baseline", "sigmoid", 0.005))
RULES: tuple[Label, ...] = ("dead", "exploded", "lost")
SUCCESS: Label = "stable"


class Audited(NamedTuple):
    """The runs of one ground that a rule called."""

    ground: Ground
    runs: Sequence[RunSummary]


def audit_all(
    template: RunSpec, run: Run, known: Iterable[AuditedRule] = ()
) -> Iterator[tuple[AuditedRule, ...]]:
    """Audit rule by rule; yield all rules before the first and after each.

    A rule before its turn has its state in `known`, by default without runs: such a rule may end no
    trial. All rules are audited on the same runs, as far as possible.
    """
    rules = {rule: summarise(rule, []) for rule in (*RULES, SUCCESS)}
    rules |= {one.rule: one for one in known}
    yield tuple(rules.values())
    for rule in RULES:
        found = [Audited(ground, audit(rule, ground, template, run)) for ground in GROUNDS]
        rules[rule] = summarise(rule, found)
        yield tuple(rules.values())
    found = []
    for ground in GROUNDS:
        # The failure rules are audited by now, so they may end runs.
        arm = template.model_copy(
            update={"variant": ground.variant, "activation": ground.activation}
        )
        ended_by = qualified(rules.values(), Conditions.of(arm))
        shortened = arm.model_copy(update={"ended_by": ended_by})
        found.append(Audited(ground, audit_success(ground, shortened, run)))
        rules[SUCCESS] = summarise(SUCCESS, found)
        yield tuple(rules.values())


def audit_success(ground: Ground, template: RunSpec, run: Run) -> list[RunSummary]:
    """Continued runs near the edge that were called stable: 199, or until one was wrong."""
    runs: list[RunSummary] = []
    called: list[RunSummary] = []
    limits = ground.low / ABOUT, ground.low * ABOUT
    while (missing := missing_successes([one.label == "stable" for one in called])) > 0:
        places = range(len(runs), len(runs) + min(missing, LOOKS))
        runs += run([draw(index, ground, template, limits, SUCCESS) for index in places])
        called = [one for one in runs if one.called_stable_at is not None]
        if is_seldom([one.called_stable_at is not None for one in runs]):
            break
    return called


def missing_successes(right: Sequence[bool]) -> int:
    """How many more calls of success are needed; 0 after a wrong one."""
    return max(NEEDED_SUCCESSES - len(right), 0) if all(right) else 0


def audit(rule: Label, ground: Ground, template: RunSpec, run: Run) -> list[RunSummary]:
    """Continued runs that `rule` would have ended: 59 or more if the ground gives so many.

    The first runs are drawn from the whole ground, the others from the part in which the rule
    fired: with sigmoid this is less than half of it.
    """
    runs = list(run([draw(index, ground, template) for index in range(LOOKS)]))
    fired = [one for one in runs if one.called == rule]
    while len(fired) < NEEDED and not is_seldom([one.called == rule for one in runs]):
        rates = [one.spec.learning_rate for one in fired]
        # As many as are needed anyway, so that all workers have work.
        places = range(len(runs), len(runs) + NEEDED - len(fired))
        runs += run([draw(index, ground, template, (min(rates), max(rates))) for index in places])
        fired = [one for one in runs if one.called == rule]
    return fired


def is_seldom(fired: Sequence[bool]) -> bool:
    """Whether a rule that fired in these runs is dropped."""
    later = fired[LOOKS:]
    return sum(fired[:LOOKS]) < FEW or (len(later) >= LOOKS and sum(later) < SELDOM * len(later))


def draw(
    index: int,
    ground: Ground,
    template: RunSpec,
    within: tuple[float, float] | None = None,
    lot: str = "failure",
) -> RunSpec:
    """A run of a fresh seed, at a log-uniform learning rate from the ground or from `within`."""
    seed = derived_seed("audit", lot, ground.variant, ground.activation, index)
    low, high = within or (ground.low, ground.high)
    rate = low * (high / low) ** np.random.default_rng(seed).random()
    changes = {
        "variant": ground.variant,
        "activation": ground.activation,
        "learning_rate": float(rate),
        "seed": seed,
    }
    return template.model_copy(update=changes)


def summarise(rule: Label, audited: Sequence[Audited]) -> AuditedRule:
    """The number of wrong calls, in each arm and in total."""
    under = tuple(_summarised(rule, *one) for one in audited if one.runs)
    near, wrong = sum(one.near for one in under), sum(one.wrong for one in under)
    return AuditedRule(
        rule=rule,
        audited=near,
        wrong=wrong,
        wrong_share_below=most_wrong(wrong, near),
        arms={one.conditions.arm: one.near for one in under},
        under=under,
    )


def _summarised(rule: Label, ground: Ground, runs: Sequence[RunSummary]) -> AuditedArm:
    rates = sorted(run.spec.learning_rate for run in runs)
    lowest = ground.low / ABOUT if rule == SUCCESS else ground.low
    near = sum(lowest <= rate <= ground.high for rate in rates)
    wrong = sum((run.label == "stable") != (rule == SUCCESS) for run in runs)
    return AuditedArm(
        conditions=Conditions.of(runs[0].spec),
        edge=ground.low,
        learning_rates=tuple(map(significant, rates)),
        near=near,
        wrong=wrong,
        wrong_share_below=most_wrong(wrong, near),
    )


def most_wrong(wrong: int, calls: int) -> float:
    """Clopper and Pearson's one-sided limit of the share of wrong calls; 1 without a call.

    Wrong calls far from the edge count too, so `wrong` may exceed `calls`.
    """
    if wrong >= calls:
        return 1.0
    test = stats.binomtest(wrong, calls, alternative="less")
    return round(float(test.proportion_ci(CONFIDENCE, method="exact").high), 4)


AUDIT_COLUMNS = (
    "rule", "arm", "calls near the edge not followed", "wrong", "share wrong below",
)  # fmt: skip


def audit_rows(rules: Iterable[AuditedRule]) -> list[tuple[str, ...]]:
    """The audit of each rule and arm, as rows under AUDIT_COLUMNS."""
    return [
        (rule.rule, arm, str(near), str(wrong), f"{below:.3f}")
        for rule in rules
        for arm, near, wrong, below in _arms(rule)
    ]


def _arms(rule: AuditedRule) -> list[tuple[str, int, int, float]]:
    if not rule.under:
        return [("-", rule.audited, rule.wrong, rule.wrong_share_below)]
    return [(one.conditions.arm, one.near, one.wrong, one.wrong_share_below) for one in rule.under]


def in_words(run: RunSummary) -> str:
    """The result of an audited run, in words."""
    calls = ((run.called_stable_at, "stable"), (run.called_at, run.called))
    called = [f"called {call} after {at:,}" for at, call in calls if at is not None]
    return f"{run.spec.name}: {', '.join(called) or 'not called'}, then {run.label}"
