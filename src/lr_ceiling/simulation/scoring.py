"""Compares our search with other methods: the cost of each until its error is as small as ours."""

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import Any

import numpy as np

from lr_ceiling.identity import derived_seed
from lr_ceiling.search.estimates import TARGETS
from lr_ceiling.search.posterior import Floats
from lr_ceiling.simulation.graded import Graded
from lr_ceiling.simulation.kept import KeptStudies
from lr_ceiling.simulation.oracles import Oracle, oracle_of
from lr_ceiling.simulation.peers import PEERS, Way
from lr_ceiling.simulation.scores import OracleResult, OwnResult, PeerResult
from lr_ceiling.simulation.studies import (
    SAMPLE,
    digest_of_studies,
    error_of,
    network,
    study,
    summarise,
)

# Maximum number of full runs of a peer.
CAP = 100
BOOTSTRAPS = 500
# Number of studies that choose a peer's configuration, and of those that measure the chosen one.
CHOOSING, MEASURING = 30, 100
# Number of studies after which their results are kept: a minute on two cores.
AT_ONCE = 100


def digest_now(oracle: Oracle | Graded, executor: Executor) -> str:
    """Identity of the results that the first two studies of `oracle` have now."""
    return digest_of_studies(_each(executor, _study, SAMPLE, oracle.name))


def simulate(
    oracle: Oracle | Graded, studies: int, executor: Executor, kept: KeptStudies
) -> OracleResult:
    """Study an oracle by our search, without other methods. `studies` is at least two.

    Studies in `kept` are not repeated, and new ones are added to it.
    """
    while (done := len(kept.studies)) < studies:
        following = range(done, min(done + AT_ONCE, studies))
        kept.add(_each(executor, _study, following, oracle.name))
    found = kept.studies[:studies]
    ours = summarise(oracle, found)
    return OracleResult(**ours.model_dump(), digest=kept.digest, peers=())


def compared(oracle: Oracle, ours: OracleResult, executor: Executor) -> OracleResult:
    """The result with the other methods. They search for lr90 alone, so `ours` must have one."""
    error = ours.error_decades
    if error is None:
        raise ValueError(f"{oracle.name} has no lr90 to be compared with")
    peers = tuple(measure(oracle, name, ours, error, executor) for name in PEERS)
    return ours.model_copy(update={"peers": peers})


def measure(
    oracle: Oracle, name: str, ours: OwnResult, error: float, executor: Executor
) -> PeerResult:
    """The cost of a peer, in its best configuration, until its median error equals our `error`.

    The configuration is chosen on other seeds than those of the measurement.
    """

    def merit(configuration: str) -> tuple[float, float]:
        # If no configuration reaches the error, take the one that ends nearest to it.
        errors = _errors(executor, oracle, name, configuration, range(CHOOSING))
        return cost_of_error(errors, error) or np.inf, error_of(errors[:, -1].tolist())

    best = min(PEERS[name], key=merit)
    seeds = range(CHOOSING, CHOOSING + MEASURING)
    errors = _errors(executor, oracle, name, best, seeds)
    cost = cost_of_error(errors, error)
    ratio = None if cost is None else round(cost / ours.full_run_equivalents, 2)
    return PeerResult(
        name=name,
        configuration=best,
        full_run_equivalents=cost,
        full_run_equivalents_ci95=interval_of_cost(errors, error),
        steps_ratio_at_equal_error=ratio,
        at_least=round(CAP / ours.full_run_equivalents, 2) if ratio is None else ratio,
    )


def errors_by_cost(oracle: Oracle, make: Callable[[np.random.Generator], Way], seed: int) -> Floats:
    """Error of a peer's lr90 after 1, 2, ... CAP full runs, in decades: (CAP,)."""
    rng = np.random.default_rng(derived_seed("peer", oracle.name, seed))
    theta = oracle.theta(rng)
    truth = oracle.edge(theta, TARGETS["lr90"])
    way = make(rng)
    spent = 0.0
    errors: list[float] = []
    while len(errors) < CAP:
        one = oracle.run(way.next(), theta, rng)
        way.tell(one)
        spent += one.cost
        # The state of knowledge after each full run.
        while len(errors) < min(int(spent), CAP):
            errors.append(way.lr90() - truth)
    return np.array(errors)


def cost_of_error(errors: Floats, error: float) -> int | None:
    """Full runs from which on the median of |errors| (studies, CAP) stays at `error` or below."""
    medians = np.median(np.abs(errors), axis=0)
    above = np.flatnonzero(medians > error)
    if not len(above):
        return 1
    return None if above[-1] == CAP - 1 else int(above[-1]) + 2


def interval_of_cost(errors: Floats, error: float) -> tuple[int | None, int | None]:
    """The 95% interval of `cost_of_error`, by bootstrap of the studies; None is above the cap."""
    rng = np.random.default_rng(derived_seed("bootstrap"))
    samples = rng.integers(len(errors), size=(BOOTSTRAPS, len(errors)))
    costs = sorted(cost_of_error(errors[sample], error) or CAP + 1 for sample in samples)
    ends = (costs[int(q * (BOOTSTRAPS - 1))] for q in (0.025, 0.975))
    low, high = (None if end > CAP else end for end in ends)
    return low, high


def _errors(
    executor: Executor, oracle: Oracle, name: str, configuration: str, seeds: range
) -> Floats:
    return np.stack(_each(executor, _peer, seeds, oracle.name, name, configuration))


def _each(
    executor: Executor, one: Callable[..., Any], seeds: Iterable[int], *named: str
) -> list[Any]:
    return list(executor.map(one, seeds, *map(itertools.repeat, named)))


def _study(seed: int, oracle: str) -> dict[str, float]:
    return study(network(oracle), seed)


def _peer(seed: int, oracle: str, name: str, configuration: str) -> Floats:
    return errors_by_cost(oracle_of(oracle), PEERS[name][configuration], seed)
