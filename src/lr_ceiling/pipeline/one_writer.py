"""One at a time for commands that go on from their report and write it anew."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

from lr_ceiling.live.locks import alone

P = ParamSpec("P")


def one_writer(command: Callable[P, None]) -> Callable[P, None]:
    """Let no other command of this checkout write the report that the argument `output` names.

    Of two that began with the same report, each would write over what the other one adds. Raises
    LockedError where another one is at work.
    """

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        output = Path(str(kwargs["output"]))
        with alone(output.name, f"another command that writes {output}"):
            command(*args, **kwargs)

    return wrapped
