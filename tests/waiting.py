"""Waiting for other processes, without a module that a test of the library lacks."""

import time
from collections.abc import Callable

# What is waited for may be a minute's work of one core, shared with other tests.
WAIT_SECONDS = 60.0


def wait_until(condition: Callable[[], bool], seconds: float = WAIT_SECONDS) -> bool:
    """Wait for `condition`, for so long at most; whether it came true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
