"""The ceiling of a PyTorch model: any function of a learning rate and a seed is a problem.

python examples/pytorch.py
"""

import torch
from torch import nn

from lr_ceiling import find_ceiling


def train(learning_rate: float, seed: int) -> float:
    """Train a classifier to tell rings apart; gives its accuracy on rings that it hasn't seen."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    x = torch.randn(1200, 2)
    y = (x.norm(dim=1) > 1.18).long()
    model = nn.Sequential(
        nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=0.9)
    for step in range(200):
        batch = slice(step % 10 * 100, step % 10 * 100 + 100)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        return (model(x[1000:]).argmax(dim=1) == y[1000:]).float().mean().item()


print(find_ceiling(train, low=1e-3, high=10, target=0.9))
