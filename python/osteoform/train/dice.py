"""Random numbers for a batch of images, drawn on the device where the images are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor


class Dice:
    """Draws one number, or several, for each of `count` images."""

    def __init__(self, rng: Generator, count: int) -> None:
        self.rng, self.count = rng, count

    @staticmethod
    def seeded(seed: int, count: int = 1, device: torch.device | None = None) -> Dice:
        """Dice that fall alike for the same seed."""
        return Dice(Generator(device or torch.device("cpu")).manual_seed(seed), count)

    @property
    def device(self) -> torch.device:
        return self.rng.device

    def uniform(self, low: float | Tensor, high: float | Tensor, *shape: int) -> Tensor:
        """(count, *shape) between two bounds, which may differ from image to image."""
        share = torch.rand(self.count, *shape, generator=self.rng, device=self.device)
        return low + (high - low) * share

    def log_uniform(self, low: float, high: float) -> Tensor:
        """(count,) whose logarithm is uniform."""
        return torch.exp(self.uniform(math.log(low), math.log(high)))

    def normal(self, sd: float, *shape: int) -> Tensor:
        """(count, *shape) about 0."""
        return sd * torch.randn(self.count, *shape, generator=self.rng, device=self.device)

    def chance(self, share: float, *shape: int) -> Tensor:
        """(count, *shape) bool: true in this share of cases."""
        return self.uniform(0.0, 1.0, *shape) < share

    def below(self, limit: int | Tensor) -> Tensor:
        """(count,) int64 from 0 to `limit` - 1."""
        share = self.uniform(0.0, 1.0)
        return torch.minimum((share * limit).long(), 0 * share.long() + limit - 1)

    def choice(self, values: Sequence[float], shares: Sequence[float] | None = None) -> Tensor:
        """(count,): one of `values` each."""
        thrown = self.uniform(0.0, 1.0)
        chosen, passed = torch.full_like(thrown, values[0]), 0.0
        for k, value in enumerate(values[1:]):
            passed += shares[k] if shares else 1 / len(values)
            chosen = torch.where(thrown >= passed, value, chosen)
        return chosen
