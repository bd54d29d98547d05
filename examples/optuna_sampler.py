"""The sampler alone, in a study of one's own.

python examples/optuna_sampler.py
"""

import numpy as np
import optuna

from lr_ceiling import CeilingSampler, ceiling_of


def train(learning_rate: float, seed: int) -> float:
    """Logistic regression by gradient descent with momentum; gives its accuracy."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(400, 20)) * np.geomspace(3, 0.1, 20)
    y = x @ generator.normal(size=20) > 0
    weights = velocity = np.zeros(20)
    for _ in range(100):
        probability = 1 / (1 + np.exp(-np.clip(x @ weights, -500, 500)))
        gradient = x.T @ (probability - y) / len(y) + 0.1 * weights
        velocity = 0.9 * velocity - learning_rate * gradient
        weights = weights + velocity
    return float(((x @ weights > 0) == y).mean())


def objective(trial: optuna.Trial) -> float:
    """Above 0 if the run is stable."""
    rate = trial.suggest_float("learning_rate", 1e-2, 1e3, log=True)
    return train(rate, seed=trial.number) - 0.8


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # The trials are the same for any number of jobs up to the lag.
    study = optuna.create_study(direction="maximize", sampler=CeilingSampler(seed=0, lag=2))
    study.optimize(objective, n_trials=15, n_jobs=2)
    print(ceiling_of(study))
