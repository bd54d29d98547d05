"""Other questions of the same form: how far can something be turned up before training fails?

    python examples/other_questions.py

What `find_ceiling` calls a learning rate is any number above 0 that breaks training where it is
large: a weight decay, a dropout's odds, a batch size. What must not be too small goes in by its
inverse.
"""

import numpy as np

from lr_ceiling import find_ceiling


def with_weight_decay(weight_decay: float, seed: int) -> float:
    """Logistic regression with a proximal weight decay; gives how sure it is of what is right."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(200, 10))
    y = x @ generator.normal(size=10) > 0
    weights = np.zeros(10)
    for _ in range(200):
        probability = 1 / (1 + np.exp(-x @ weights))
        weights -= 0.3 * x.T @ (probability - y) / len(y)
        weights /= 1 + 0.3 * weight_decay
    return float(np.where(y, probability, 1 - probability).mean())


def with_warm_up(inverse: float, seed: int) -> bool:
    """Whether a two-layer linear network trains if the learning rate rises for 1 / inverse steps.

    Its sharpness at the start allows a learning rate of 0.1; it is trained with 0.3. While
    the rate rises, the network moves to where it is flat.
    """
    first, second = np.random.default_rng(seed).normal(size=(2, 10))
    for step in range(1000):
        rate = 0.3 * min(1.0, (step + 1) * inverse)
        error = first @ second - 1
        if abs(error) > 1e6:
            return False
        first, second = first - rate * error * second, second - rate * error * first
    return bool(abs(error) < 0.01)


if __name__ == "__main__":
    print("weight decay:", find_ceiling(with_weight_decay, low=1e-3, high=10, target=0.8))

    warm_up = find_ceiling(with_warm_up, low=1e-3, high=1)
    low, high = warm_up.lr90.ci95
    if low and high:
        print(f"warm-up: nine seeds in ten need {1 / high:.0f} to {1 / low:.0f} steps")
    else:
        print("warm-up:", warm_up)
