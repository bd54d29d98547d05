"""A made-up network for searches that are killed: each run takes a moment."""

import math
import time


def network(learning_rate: float, seed: int) -> bool:
    """Trains up to about 0.05, and there by luck."""
    time.sleep(0.1)
    return math.log10(learning_rate) + 0.2 * math.sin(seed) < -1.3
