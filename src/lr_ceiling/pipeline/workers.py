"""The workers of the pipeline's runs: processes with one thread of TensorFlow each.

They are local processes, or workers of the Dask scheduler in LR_CEILING_SCHEDULER. The output is
the same on both: workers whose arithmetic gives other last digits are refused.
"""

import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Self

from lr_ceiling.execution.executor import cores, end_with_parent, local_executor
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.task import PREPARED_BY

OnSteps = Callable[[Mapping[str, int]], None]
SCHEDULER = "LR_CEILING_SCHEDULER"


@contextlib.contextmanager
def workers(
    processes: int | None,
    on_steps: OnSteps | None = None,
    needed_later: Sequence[str] = (),
    splits: Path | None = None,
    returned: Path | None = None,
) -> Iterator[Runner]:
    """Yield a runner on `count` processes, by default one per core. Under DVC it ends with DVC.

    `on_steps` is that of a Runner; `needed_later` are modules to import while runs are in progress.
    If `splits`, the data file of the runs, is given and a cluster is configured, runs execute on
    all its workers, and files that they write to the folder `returned` are copied back.
    """
    end_with_dvc()
    with contextlib.ExitStack() as stack:
        imports = stack.enter_context(LaterImports(needed_later))

        def told(steps: Mapping[str, int]) -> None:
            imports.on_steps(steps)
            if on_steps:
                on_steps(steps)

        elsewhere = stack.enter_context(cluster(splits, returned)) if splits else None
        if elsewhere is None:
            count = processes or cores()
            runner = Runner(lambda: local_executor(count, PREPARED_BY), count, told)
        else:
            executor, count = elsewhere
            runner = Runner(lambda: executor, count, told, owned=False)
        yield stack.enter_context(runner)


@contextlib.contextmanager
def cluster(splits: Path, returned: Path | None = None) -> Iterator[tuple[Executor, int] | None]:
    """Yield an executor on the configured cluster, and its number of workers; None without one."""
    address = os.environ.get(SCHEDULER)
    if not address:
        yield None
        return
    # Imported here because the import takes .5 s and needs an extra.
    from lr_ceiling.pipeline.cluster import opened

    with opened(address, splits, returned) as found:
        yield found


def end_with_dvc() -> None:
    """End this process as soon as the DVC that started it is gone."""
    if "DVC_ROOT" in os.environ:
        end_with_parent()


class LaterImports:
    """Imports modules in a thread, after the first step of a run; a context manager.

    An earlier import would slow the start of the workers.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        # Two threads that import parts of one package in different orders may deadlock.
        if kind is None and self._thread:
            self._thread.join()

    def on_steps(self, steps: Mapping[str, int]) -> None:
        """Start the imports if any steps have been taken."""
        if self._modules and not self._thread and sum(steps.values()):
            self._thread = threading.Thread(target=self._import)
            self._thread.start()

    def _import(self) -> None:
        # A later import raises the same error again, if there is one.
        with contextlib.suppress(Exception):
            for module in self._modules:
                importlib.import_module(module)
