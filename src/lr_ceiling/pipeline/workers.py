"""Where the pipeline's runs execute: local processes of one thread of TensorFlow each."""

import os
from collections.abc import Callable, Mapping, Sequence

from lr_ceiling.execution.executor import cores, end_with_parent, local_executor
from lr_ceiling.execution.runner import Runner
from lr_ceiling.mnist.task import PREPARED_BY


def workers(
    processes: int | None,
    on_steps: Callable[[Mapping[str, int]], None] | None = None,
    needed_later: Sequence[str] = (),
) -> Runner:
    """A runner on so many processes, by default one a core. Under DVC it ends with DVC."""
    if "DVC_ROOT" in os.environ:
        end_with_parent()
    count = processes or cores()
    return Runner(lambda: local_executor(count, PREPARED_BY), count, on_steps, needed_later)
