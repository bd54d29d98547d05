"""Studies of simulated networks, by the search of the pipeline."""

from collections.abc import Mapping, Sequence
from operator import eq

import numpy as np

from lr_ceiling.identity import derived_seed, digest_of, processor
from lr_ceiling.search.estimates import TARGETS, Estimate, Estimates
from lr_ceiling.search.posterior import Calls, Observation, Posterior, Tally
from lr_ceiling.search.schedule import AUDITED, PARTS, Aim, Schedule
from lr_ceiling.search.usable import Usable, scored_of, usable_below
from lr_ceiling.simulation.graded import GRADED, LOSS, RUNS, Graded
from lr_ceiling.simulation.oracles import HIGH, LOW, ORACLES, Oracle
from lr_ceiling.simulation.scores import OwnResult

# As in params.yaml.
INTERVAL, BUDGET, LAG, CONFIRMATIONS = 0.3, 15.0, 4, 12
# As in reports/audit.json, for one arm.
CALLS = Calls(Tally(audited=59), Tally(audited=199))
# The studies whose results show whether the search is unchanged; 1 s each.
SAMPLE = (0, 1)
# Number of fresh seeds at each verified point, which are pooled with the search.
SEEDS = 20


def network(name: str) -> Oracle | Graded:
    """The oracle of this name. Processes exchange names, because curves can't be pickled."""
    return next(oracle for oracle in (*ORACLES, *GRADED) if oracle.name == name)


def study(oracle: Oracle | Graded, seed: int) -> dict[str, float]:
    """One study by the pipeline's search: its answers, compared with the truth, and its cost."""
    rng = np.random.default_rng(derived_seed("simulation", oracle.name, seed))
    theta = oracle.theta(rng)
    runs = RUNS if isinstance(oracle, Graded) else 0
    aim = Aim(str(seed), LOW, HIGH, INTERVAL, BUDGET, LAG, CONFIRMATIONS, runs, LOSS, CALLS)
    schedule = Schedule(aim)
    done: dict[int, Observation] = {}
    while schedule.may_start(done):
        let_run_on = bool(rng.random() < 1 / AUDITED)
        scored = schedule.part == "usable"
        done[schedule.index] = oracle.run(schedule.propose(), theta, rng, let_run_on, scored)
        schedule.started(done[schedule.index].u)
    posterior = schedule.posterior()
    truth, scored_runs = oracle.usable(theta), scored_of(done.values())
    usable = None if truth is None else usable_below(posterior, scored_runs, LOSS)
    seen = [*done.values(), *verified(oracle, theta, Estimates(posterior), usable, rng)]
    pooled = Posterior(posterior.curves, seen, CALLS)
    costs = {
        # As a float even if the part has no trial: kept studies are read as floats.
        part: sum((done[i].cost for i, of in enumerate(schedule.parts) if of == part), start=0.0)
        for part in PARTS
    }
    checks = Estimates(posterior).checks()
    found = {
        "trials": float(len(done)),
        "widened": float(checks.widened),
        "fit": checks.fit,
        "exists": checks.lr90_exists,
        **{f"cost_{part}": cost for part, cost in costs.items()},
        **said(posterior, oracle, theta, ""),
        **said(pooled, oracle, theta, "pooled_"),
    }
    if truth is not None and usable is not None:
        found |= held(usable, truth, "usable")
        # As in evidence.pooling, verification's scores are not included.
        found |= held(usable_below(pooled, scored_runs, LOSS), truth, "pooled_usable")
    return found


def verified(
    oracle: Oracle | Graded,
    theta: float,
    found: Estimates,
    usable: Usable | None,
    rng: np.random.Generator,
) -> list[Observation]:
    """Fresh seeds at usable, lr90's lower limit, lr90 and lr50, all run to their end."""
    lr90, lr50 = (found.estimate(target) for target in (0.9, 0.5))
    points = [lr90.ci95[0], lr90.estimate, lr50.estimate]
    if usable is not None:
        points.append(usable.estimate)
    return [
        oracle.run(float(np.log10(rate)), theta, rng, let_run_on=True)
        for rate in points
        if rate is not None
        for _ in range(SEEDS)
    ]


def said(
    posterior: Posterior, oracle: Oracle | Graded, theta: float, source: str
) -> dict[str, float]:
    """The printed lr50 and lr90, compared with the truth."""
    estimates = Estimates(posterior)
    found: dict[str, float] = {}
    for name, target in TARGETS.items():
        truth = oracle.edge(theta, target)
        found |= held(estimates.estimate(target), truth, f"{source}{name}")
    return found


def held(printed: Estimate, truth: float, name: str) -> dict[str, float]:
    """Whether the printed interval contains the truth. If there is none, nothing must be printed.

    A missing limit excludes nothing. Values without a comparison are NaN.
    """
    low, high = (None if end is None else float(np.log10(end)) for end in printed.ci95)
    claimed = (low, high) != (None, None)
    if not np.isfinite(truth):
        covered = not claimed
    else:
        covered = claimed and (low is None or low <= truth) and (high is None or truth <= high)
    known = printed.estimate is not None and np.isfinite(truth)
    one_sided = claimed and (low is None or high is None)
    return {
        f"{name}_covered": float(covered),
        f"{name}_claimed": float(claimed),
        f"{name}_one_sided": float(covered) if one_sided else np.nan,
        f"{name}_error": float(np.log10(printed.estimate or np.nan)) - truth if known else np.nan,
        f"{name}_decades": np.nan if low is None or high is None else high - low,
    }


def summarise(oracle: Oracle | Graded, studies: Sequence[Mapping[str, float]]) -> OwnResult:
    """The results of our search on an oracle."""

    def of(name: str) -> list[float]:
        return [one[name] for one in studies if name in one and not np.isnan(one[name])]

    def middle(name: str) -> float | None:
        return round(float(np.median(of(name))), 4) if of(name) else None

    def share(name: str) -> float | None:
        return round(float(np.mean(of(name))), 4) if of(name) else None

    def known(name: str) -> float:
        return round(float(np.mean(of(name))), 4)

    costs: dict[str, float] = {part: known(f"cost_{part}") for part in PARTS}
    return OwnResult(
        name=oracle.name,
        well_specified=oracle.well_specified,
        transition_decades=oracle.transition_decades,
        failure_cost=oracle.failure_cost,
        studies=len(studies),
        coverage_lr50=known("lr50_covered"),
        coverage_lr90=known("lr90_covered"),
        coverage_usable=share("usable_covered"),
        coverage_pooled_lr50=known("pooled_lr50_covered"),
        coverage_pooled_lr90=known("pooled_lr90_covered"),
        coverage_pooled_usable=share("pooled_usable_covered"),
        one_sided_lr90=share("lr90_one_sided"),
        claims_a_ceiling=known("lr90_claimed"),
        exists=known("exists"),
        bias_decades=middle("lr90_error"),
        error_decades=error_of(of("lr90_error")) if of("lr90_error") else None,
        interval_decades=middle("lr90_decades"),
        usable_decades=middle("usable_decades"),
        trials=known("trials"),
        full_run_equivalents=costs["edge"],
        spent=costs,
        widened=known("widened"),
    )


def error_of(errors: Sequence[float]) -> float:
    """Median absolute error, in decades."""
    return round(float(np.median(np.abs(errors))), 4)


def digest_of_studies(studies: Sequence[Mapping[str, float]]) -> str:
    """Identity of the results of an oracle's first two studies, in four parts.

    While they are unchanged, the others are too: then only names or comments have changed. The
    parts are the kind of processor, both studies to the last digit, and each of them rounded.
    """
    first = [studies[seed] for seed in SAMPLE]
    return " ".join((digest_of(processor()), digest_of(*first), *map(_rounded, first)))


def same_search(digest: str, other: str) -> bool:
    """Whether two digests are of the same search.

    Digests of one kind of processor must be equal. Another kind rounds differently, and 8 of 60
    studies then gave other results, so one equal study is enough. A change of the search that
    leaves one of the two studies as it was is not noticed there.
    """
    kind, *parts = digest.split()
    other_kind, *other_parts = other.split() or [""]
    if kind == other_kind:
        return parts == other_parts
    return any(map(eq, parts[1:], other_parts[1:]))


def _rounded(study: Mapping[str, float]) -> str:
    # The fit's p-value is simulated: a last digit may change the outcome of one of its 2,000 draws.
    return digest_of({name: round(value, 6) for name, value in study.items() if name != "fit"})
