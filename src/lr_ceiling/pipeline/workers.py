"""Where the pipeline's runs execute: local processes of one thread of TensorFlow each."""

import contextlib
import importlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Self

from lr_ceiling.execution.executor import cores, end_with_parent, local_executor
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.task import PREPARED_BY

OnSteps = Callable[[Mapping[str, int]], None]


@contextlib.contextmanager
def workers(
    processes: int | None, on_steps: OnSteps | None = None, needed_later: Sequence[str] = ()
) -> Iterator[Runner]:
    """Give a runner on so many processes, by default one a core. Under DVC it ends with DVC.

    `on_steps` is a Runner's; `needed_later` are modules to import while runs are under way.
    """
    end_with_dvc()
    count = processes or cores()
    with LaterImports(needed_later) as imports:

        def told(steps: Mapping[str, int]) -> None:
            imports.on_steps(steps)
            if on_steps:
                on_steps(steps)

        with Runner(lambda: local_executor(count, PREPARED_BY), count, told) as runner:
            yield runner


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
