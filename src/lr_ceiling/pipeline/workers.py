"""Where the pipeline's runs execute: processes of one thread of TensorFlow each.

They are local ones, or workers of the Dask scheduler that LR_CEILING_SCHEDULER names. No output
depends on which: workers that compute other last digits are refused.
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
    """Give a runner on so many processes, by default one a core. Under DVC it ends with DVC.

    `on_steps` is a Runner's; `needed_later` are modules to import while runs are under way. With
    `splits`, the data file of the runs, they execute on a cluster where one is named: on all its
    workers, and what they write to the folder `returned` comes back.
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
    """Give an executor on the cluster that is named, and how many workers it has; None for none."""
    address = os.environ.get(SCHEDULER)
    if not address:
        yield None
        return
    # Late, since it takes .5 s to import, and an extra.
    from lr_ceiling.pipeline.cluster import opened

    with opened(address, splits, returned) as found:
        yield found


def end_with_dvc() -> None:
    """End this process as soon as the DVC that started it is gone."""
    if "DVC_ROOT" in os.environ:
        end_with_parent()


class LaterImports:
    """Imports modules in a thread, from the first step of a run on; a context manager.

    Not before: the start of the workers would be slowed.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        # Two threads that import parts of one package from different ends may meet a deadlock.
        if kind is None and self._thread:
            self._thread.join()

    def on_steps(self, steps: Mapping[str, int]) -> None:
        """Begin if any steps have been taken."""
        if self._modules and not self._thread and sum(steps.values()):
            self._thread = threading.Thread(target=self._import)
            self._thread.start()

    def _import(self) -> None:
        # Who imports them afterwards meets the error that there may be.
        with contextlib.suppress(Exception):
            for module in self._modules:
                importlib.import_module(module)
