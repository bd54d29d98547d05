"""Many runs that can be stopped at any time: each is kept as it ends, and never run twice."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from lr_ceiling.runs import RunResult, RunSpec, read_runs, write_runs
from lr_ceiling.workers import Task, Workers

# What decides a run's numbers beside its spec: our code, and the libraries that do the arithmetic.
MODULES = ("dataset", "network", "outcome", "runs", "training")
LIBRARIES = ("keras", "numpy", "tensorflow")


def run_all(
    specs: Sequence[RunSpec],
    splits: Path,
    folder: Path,
    workers: Workers,
    on_ended: Callable[[RunResult], None] = lambda run: None,
    test: bool = False,
) -> list[RunResult]:
    """The results of `specs`, in their order; with `test` they hold the test accuracy.

    Those that `folder` holds from this code are not run again; `on_ended` is told of the others.
    """
    paths = {spec: path_of(spec, folder, test) for spec in specs}
    missing = [spec for spec, path in paths.items() if not path.exists()]
    for spec in missing:
        workers.submit(Task(spec, splits, test=test))
    for _ in missing:
        run = workers.completed().result
        write_runs(paths[run.spec], [run])
        on_ended(run)
    return [read_runs(path)[0] for path in paths.values()]


def path_of(spec: RunSpec, folder: Path, test: bool = False) -> Path:
    """Where `folder` keeps the result of `spec`; with a test accuracy it is another result."""
    runs = folder / engine_digest()
    return (runs / "test" if test else runs) / f"{spec.key}.json"


def engine_digest() -> str:
    """Identity of the code that makes a run: runs of other code are others."""
    return code_digest(MODULES, LIBRARIES)


def code_digest(modules: Iterable[str], libraries: Iterable[str]) -> str:
    """Identity of these modules of ours and versions of libraries, in 16 hex digits."""
    digest = hashlib.sha256()
    for library in libraries:
        digest.update(f"{library}=={version(library)}\n".encode())
    for module in modules:
        digest.update((Path(__file__).parent / f"{module}.py").read_bytes())
    return digest.hexdigest()[:16]
