"""Muon: momentum whose update is made orthogonal (K. Jordan et al., 2024).

For convolutions it learns this task faster than Adam does; biases, normalisation and the first
and last layers stay with Adam.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Quintic iteration towards the nearest orthogonal matrix; coefficients of the source.
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for convolution weights (out, in, height, width)."""

    def __init__(self, weights: Iterable[nn.Parameter], *, lr: float, momentum: float) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every weight once."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group["lr"], group["momentum"])

    def _move(self, weight: nn.Parameter, rate: float, momentum: float) -> None:
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - momentum)
        update = orthogonal(gradient.lerp(mean, momentum).reshape(len(weight), -1))
        scale = max(1.0, update.shape[0] / update.shape[1]) ** 0.5
        weight.add_(update.reshape(weight.shape), alpha=-rate * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """Near the closest matrix whose singular values are all 1 (they end in 0.7 .. 1.2)."""
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix) / (matrix.norm() + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.T if tall else x
    return result
