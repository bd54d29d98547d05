"""The early calls that may end a search's runs, and their error rates, by the audit."""

from collections.abc import Iterable, Sequence

from lr_ceiling.evidence.records import AuditedArm, AuditedRule, Conditions
from lr_ceiling.mnist.results import RunSummary
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import Call, Calls, Tally

# A wrong call of success hides a failure, and one run of ten fails at lr90: with one wrong call of
# twenty, half of the failures would be hidden. No wrong call among 199 means fewer than 1.5%.
MOST_WRONG: dict[Label, float] = {"stable": 0.015}
MOST_WRONG_FAILURE = 0.05


def audited_under(
    rules: Iterable[AuditedRule], conditions: Conditions
) -> list[tuple[Label, AuditedArm]]:
    """The results of an audit under exactly these conditions, rule by rule.

    A run that explodes without batch norm may learn with it, and a run that is lost after one epoch
    may recover in three.
    """
    return [
        (rule.rule, arm) for rule in rules for arm in rule.under if arm.conditions == conditions
    ]


def qualified(rules: Iterable[AuditedRule], conditions: Conditions) -> tuple[Label, ...]:
    """The rules that may end a trial under these conditions."""
    return tuple(
        rule
        for rule, arm in audited_under(rules, conditions)
        if arm.wrong_share_below < MOST_WRONG.get(rule, MOST_WRONG_FAILURE)
    )


def calls_of(rules: Iterable[AuditedRule], conditions: Conditions) -> Calls:
    """The audited early calls near the edge, under these conditions.

    Only rules that may end a run are included.
    """
    rules = tuple(rules)
    used = qualified(rules, conditions)
    found = [(rule, arm) for rule, arm in audited_under(rules, conditions) if rule in used]
    return Calls(
        failures=_tally(arm for rule, arm in found if rule != "stable"),
        successes=_tally(arm for rule, arm in found if rule == "stable"),
    )


def _tally(arms: Iterable[AuditedArm]) -> Tally:
    counted = [(arm.near, arm.wrong) for arm in arms]
    return Tally(sum(near for near, _ in counted), sum(wrong for _, wrong in counted))


def unused(rules: Sequence[AuditedRule], conditions: Conditions) -> str | None:
    """Why the audit ends no trial under these conditions, in one line; None if it does."""
    if qualified(rules, conditions):
        return None
    if found := audited_under(rules, conditions):
        counts = ", ".join(f"{rule} {arm.wrong} of {arm.near}" for rule, arm in found)
        return f"the audit's calls near the edge are too few, or wrong too often: {counts}"
    of_arm = [arm.conditions for rule in rules for arm in rule.under]
    of_arm = [one for one in of_arm if one.arm == conditions.arm]
    if of_arm:
        other, own = of_arm[0].model_dump(), conditions.model_dump()
        differ = [name for name in own if own[name] != other[name]]
        words = [f"{name} {other[name]}, not {own[name]}" for name in differ]
        return f"the audit is of {'; '.join(words)}"
    if any(rule.audited and not rule.under for rule in rules):
        return "the audit does not tell its conditions: `make audit` makes it anew"
    return f"no early call was audited of {conditions.arm}"


def call_of(run: RunSummary) -> Call | None:
    """The judge's prediction for a run; None without one. Divergence is not a prediction.

    Of two calls, the one that ended the run counts, or the first one if the run continued: a run
    that diverged after a call of success shows that such calls may be wrong.
    """
    went_on = run.ran_whole or run.called == "diverged"
    if run.called_stable_at is not None and (went_on or run.label == "stable"):
        return "success"
    return "failure" if run.called and run.called != "diverged" else None
