"""A simulated network for searches that are killed; each run takes a moment."""

import math
import time


def network(learning_rate: float, seed: int) -> bool:
    """Whether it trains: it does up to about 0.05; near this edge chance decides."""
    time.sleep(0.1)
    return math.log10(learning_rate) + 0.2 * math.sin(seed) < -1.3
