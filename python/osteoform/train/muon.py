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
        """Move every weight once; weights of one shape together."""
        for group in self.param_groups:
            alike: dict[tuple[int, int], list[nn.Parameter]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(_matrix_shape(weight), []).append(weight)
            for shape, weights in alike.items():
                rate = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                self._move(weights, shape, rate, group["momentum"])

    def _move(
        self,
        weights: list[nn.Parameter],
        shape: tuple[int, int],
        rate: float | Tensor,
        momentum: float,
    ) -> None:
        updates = torch.stack([self._update(w, momentum).reshape(shape) for w in weights])
        for weight, update in zip(weights, orthogonal(updates), strict=True):
            weight.sub_(rate * update.reshape(weight.shape))

    def _update(self, weight: nn.Parameter, momentum: float) -> Tensor:
        gradient = weight.grad
        assert gradient is not None
        state = self.state[weight]
        mean = state.setdefault("mean", torch.zeros_like(gradient))
        mean.lerp_(gradient, 1 - momentum)
        update: Tensor = gradient.lerp(mean, momentum)
        return update


def orthogonal(matrices: Tensor) -> Tensor:
    """Near the closest matrices (..., n, m) whose singular values are all 1 (theirs: 0.7 .. 1.2)."""
    a, b, c = _QUINTIC
    tall = matrices.shape[-2] > matrices.shape[-1]
    norm = matrices.norm(dim=(-2, -1), keepdim=True)
    x = (matrices.mT if tall else matrices) / (norm + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    result: Tensor = x.mT if tall else x
    return result


def _matrix_shape(weight: Tensor) -> tuple[int, int]:
    return len(weight), weight[0].numel()
