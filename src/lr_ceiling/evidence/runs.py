"""Many runs that can be stopped at any time: each is kept as it ends, and never run twice."""

from collections.abc import Callable, Sequence
from pathlib import Path

from lr_ceiling.evidence.store import RunStore
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.results import RunResult
from lr_ceiling.mnist.specification import RunSpec
from lr_ceiling.mnist.task import TrainingTask


def run_all(
    specs: Sequence[RunSpec],
    splits: Path,
    store: RunStore,
    runner: Runner,
    on_ended: Callable[[RunResult], None] = lambda run: None,
    test: bool = False,
) -> list[RunResult]:
    """The results of `specs`, in their order; with `test` they hold the test accuracy.

    Those that `store` holds are not run again; `on_ended` is told of the others.
    """
    results = {spec: store.find(spec, test) for spec in specs}
    missing = [spec for spec, found in results.items() if found is None]
    for spec in missing:
        runner.submit(TrainingTask(spec, splits, test=test))
    for _ in missing:
        run: RunResult = runner.completed().result
        store.keep(run)
        results[run.spec] = run
        on_ended(run)
    return [found for spec in specs if (found := results[spec]) is not None]
