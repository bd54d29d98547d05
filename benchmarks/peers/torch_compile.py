"""PyTorch with its compiler: forward and backward in one compiled function, fused Adam."""

from typing import cast

import torch
from torch import nn

from benchmarks.peers.torch_eager import Eager, Loss
from benchmarks.protocol import serve


class Compiled(Eager):
    """The eager way, with a loss compiled by `torch.compile`."""

    def loss_of(self, model: nn.Sequential) -> Loss:
        """Compile the loss, gradients included."""
        return cast(Loss, torch.compile(super().loss_of(model)))


if __name__ == "__main__":
    serve(Compiled)
