"""Studies of made-up networks, by the search that the pipeline runs."""

from collections.abc import Mapping, Sequence

import numpy as np

from lr_ceiling.identity import derived_seed, digest_of
from lr_ceiling.search.estimates import TARGETS, Estimates
from lr_ceiling.search.posterior import Calls, Observation, Tally
from lr_ceiling.search.schedule import AUDITED, Aim, Schedule
from lr_ceiling.simulation.oracles import HIGH, LOW, Oracle
from lr_ceiling.simulation.scores import OwnResult

# As in params.yaml.
INTERVAL, BUDGET, LAG, CONFIRMATIONS = 0.3, 15.0, 4, 12
# As in reports/audit.json.
CALLS = Calls(Tally(audited=118), Tally(audited=200))
# The studies whose results say whether the search is still the same; 0.4 s each.
SAMPLE = (0, 1)


def study(oracle: Oracle, seed: int) -> dict[str, float]:
    """One study by the pipeline's own search: what it found, the truth, and what it cost."""
    rng = np.random.default_rng(derived_seed("simulation", oracle.name, seed))
    theta = oracle.theta(rng)
    aim = Aim(str(seed), LOW, HIGH, INTERVAL, BUDGET, LAG, CONFIRMATIONS, calls=CALLS)
    schedule = Schedule(aim)
    done: dict[int, Observation] = {}
    while schedule.may_start(done):
        let_run_on = bool(rng.random() < 1 / AUDITED)
        done[schedule.index] = oracle.run(schedule.propose(), theta, rng, let_run_on)
        schedule.started(done[schedule.index].u)
    ceiling = Estimates(schedule.posterior())
    found = {
        "trials": float(len(done)),
        "cost": sum(one.cost for one in done.values()),
        "widened": float(ceiling.checks().widened),
        "fit": ceiling.fit,
        "confirmations": float(schedule.parts.count("confirm")),
        "confirm_cost": sum(done[i].cost for i in range(schedule.parts.count("edge"), len(done))),
        "exists": ceiling.posterior.edge(0.9).exists,
        "printed": float(ceiling.estimate(0.9).estimate is not None),
    }
    for name, target in TARGETS.items():
        edge, truth = ceiling.posterior.edge(target), oracle.edge(theta, target)
        found |= {
            f"{name}_covered": float(edge.low <= truth <= edge.high),
            f"{name}_error": edge.median - truth,
            f"{name}_decades": edge.decades,
        }
    return found


def summarise(oracle: Oracle, studies: Sequence[Mapping[str, float]]) -> OwnResult:
    """What our search found of an oracle."""

    def middle(name: str) -> float:
        return round(float(np.median([one[name] for one in studies])), 4)

    def share(name: str) -> float:
        return round(float(np.mean([one[name] for one in studies])), 4)

    return OwnResult(
        name=oracle.name,
        well_specified=oracle.well_specified,
        transition_decades=oracle.transition_decades,
        failure_cost=oracle.failure_cost,
        studies=len(studies),
        coverage_lr50=share("lr50_covered"),
        coverage_lr90=share("lr90_covered"),
        bias_decades=middle("lr90_error"),
        error_decades=error_of([one["lr90_error"] for one in studies]),
        interval_decades=middle("lr90_decades"),
        trials=share("trials"),
        full_run_equivalents=share("cost"),
        widened=share("widened"),
    )


def error_of(errors: Sequence[float]) -> float:
    """Median absolute error, in decades."""
    return round(float(np.median(np.abs(errors))), 4)


def digest_of_studies(studies: Sequence[Mapping[str, float]]) -> str:
    """Identity of what the first two studies of an oracle found.

    While they are as they were, so are the others: what changed is a name or a comment.
    """
    return digest_of(*(studies[seed] for seed in SAMPLE))
