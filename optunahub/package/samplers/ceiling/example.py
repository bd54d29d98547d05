"""The highest learning rate at which momentum descends a random quadratic bowl."""

import numpy as np
import optuna

import optunahub

module = optunahub.load_module("samplers/ceiling")


def train(learning_rate: float, seed: int) -> bool:
    """Whether the weights shrink."""
    generator = np.random.default_rng(seed)
    curvature = generator.gamma(2.0, size=10)
    start = weights = generator.normal(size=10)
    velocity = np.zeros(10)
    for _ in range(100):
        velocity = 0.9 * velocity - learning_rate * curvature * weights
        weights = weights + velocity
    return bool(np.abs(weights).max() < np.abs(start).max())


def objective(trial: optuna.Trial) -> float:
    """Above 0 if the run is stable."""
    rate = trial.suggest_float("learning_rate", 1e-3, 1e2, log=True)
    return float(train(rate, seed=trial.number))


if __name__ == "__main__":
    sampler = module.CeilingSampler(seed=0)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=15)
    print(module.ceiling_of(study))
