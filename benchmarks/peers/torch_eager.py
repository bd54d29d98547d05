"""PyTorch, eager: channels last and fused Adam."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.protocol import (
    BETAS,
    COMPARED,
    EPSILON,
    EVALUATION_BATCH,
    NORM_EPSILON,
    NORM_MOMENTUM,
    Array,
    Data,
    Floats,
    Order,
    Trained,
    batches,
    initial,
    serve,
)

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def build(variant: str, activation: str) -> nn.Sequential:
    """The post's network: images (n, 1, 28, 28) in [0, 1] to logits (n, 10)."""
    normed = variant == "batchnorm"
    activate = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[activation]

    def norm(kind: Any, size: int) -> list[nn.Module]:
        # PyTorch's momentum is the share of the new value.
        return [kind(size, eps=NORM_EPSILON, momentum=1 - NORM_MOMENTUM)] if normed else []

    def conv(inputs: int, outputs: int) -> list[nn.Module]:
        layer = nn.Conv2d(inputs, outputs, 3, bias=not normed)
        return [layer, *norm(nn.BatchNorm2d, outputs), activate()]

    def dense(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, outputs, bias=not normed), *norm(nn.BatchNorm1d, outputs)]

    return nn.Sequential(
        *conv(1, 32),
        nn.MaxPool2d(2),
        *conv(32, 64),
        nn.MaxPool2d(2),
        *conv(64, 64),
        nn.Flatten(),
        *dense(576, 64),
        activate(),
        *dense(64, 10),
    ).to(memory_format=torch.channels_last)


def set_weights(model: nn.Sequential, weights: list[Floats]) -> None:
    """Set trainable weights, given in Keras's order and layout, and reset the averages."""
    with torch.no_grad():
        for parameter, weight in zip(model.parameters(), weights, strict=True):
            parameter.copy_(torch.from_numpy(_as_torch(weight)))
        for name, average in model.named_buffers():
            average.fill_(float("running_var" in name))


def _as_torch(weight: Floats) -> Floats:
    if weight.ndim == 4:
        return weight.transpose(3, 2, 0, 1)
    if weight.shape == (576, 64):
        # Keras flattens rows, columns, channels; PyTorch channels first.
        return weight.reshape(3, 3, 64, 64).transpose(3, 2, 0, 1).reshape(64, 576)
    return weight.T


class Eager:
    """One model per arm, which all its runs reuse."""

    def __init__(self, splits: Path) -> None:
        torch.set_num_threads(1)
        data = Data.read(splits)
        self._images, self._labels = _as_tensors(data.train_images, data.train_labels)
        self._validation = _as_tensors(data.validation_images, data.validation_labels)
        self._arms: dict[tuple[str, str], tuple[nn.Sequential, Loss]] = {}

    def loss_of(self, model: nn.Sequential) -> Loss:
        """Give the loss of `model` as a function of images (n, 1, 28, 28), uint8, and labels."""

        def loss(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            return nn.functional.cross_entropy(model(images.float() / 255), labels)

        return loss

    def prepare(self, order: Order) -> int:
        """Build the model and warm up."""
        model = build(order.variant, order.activation)
        self._arms[order.variant, order.activation] = model, self.loss_of(model)
        self.train(order)
        return sum(parameter.numel() for parameter in model.parameters())

    def train(self, order: Order) -> Trained:
        """Train the order's model anew."""
        model, loss_of = self._arms[order.variant, order.activation]
        set_weights(model, initial(order))
        adam = torch.optim.Adam(
            model.parameters(), order.learning_rate, betas=BETAS, eps=EPSILON, fused=True
        )
        steps = torch.from_numpy(batches(order, len(self._images)))
        model.train()
        began = time.perf_counter()
        for chosen in steps:
            loss = loss_of(self._images[chosen], self._labels[chosen])
            adam.zero_grad()
            loss.backward()
            adam.step()
        trained = time.perf_counter()
        accuracy = self._accuracy(model)
        return Trained(trained - began, time.perf_counter() - trained, accuracy)

    def probabilities(self, order: Order, weights: list[Floats]) -> Floats:
        """Give the probabilities of PyTorch's layers."""
        model = build(order.variant, order.activation).train()
        set_weights(model, weights)
        with torch.no_grad():
            probabilities: Floats = model(self._images[:COMPARED].float() / 255).softmax(1).numpy()
        return probabilities

    def _accuracy(self, model: nn.Sequential) -> float:
        model.eval()
        right = 0
        with torch.inference_mode():
            for images, labels in zip(
                *(part.split(EVALUATION_BATCH) for part in self._validation), strict=True
            ):
                right += int((model(images.float() / 255).argmax(1) == labels).sum())
        return right / len(self._validation[1])


def _as_tensors(images: Array, labels: Array) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.from_numpy(images[:, np.newaxis]).contiguous(memory_format=torch.channels_last),
        torch.from_numpy(labels.astype(np.int64)),
    )


if __name__ == "__main__":
    serve(Eager)
