"""A lock for commands that continue from their own report and rewrite it."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from lr_ceiling.live.locks import alone

P = ParamSpec("P")


def one_writer(command: Callable[P, None]) -> Callable[P, None]:
    """Lock the report of the argument `output` against other commands of this checkout.

    Two commands that start from the same report would overwrite each other's additions. Raises
    LockedError if another command holds the lock.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        output = Path(str(kwargs["output"]))
        with alone(output.name, f"another command that writes {output}"):
            command(*args, **kwargs)

    return wrapped
