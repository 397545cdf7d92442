"""What the detector sees, of a batch on any device: `_normalize.py` in PyTorch.

A test holds the two together. The percentiles here are of a quarter of the pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from osteoform import _normalize as used
from osteoform.train.tones import enlarged, of_each, percentiles


def normalized(pixels: Tensor, inside: Tensor, dark_is_dense: Tensor) -> Tensor:
    """Images (B, h, w) as the network takes them, 0 outside of `inside` (B, h, w).

    The longer side is that of the network; both are multiples of 4. `dark_is_dense` (B,).
    """
    low, high = percentiles(pixels, inside, *used.EXTREME_PERCENT)
    span = of_each(high - low)
    stretched = ((pixels - of_each(low)) / span.clamp(min=1e-12)).clamp(0, 1)
    level = torch.where(span > 0, stretched, 0.5)
    dense = -torch.log(torch.where(of_each(dark_is_dense), level, 1 - level) + used.LOG_FLOOR)
    unsaturated = inside & (level > used.SATURATED) & (level < 1 - used.SATURATED)
    size_px = max(pixels.shape[1:])
    values = _local_contrast(dense, unsaturated, inside, round(used.WINDOW_RADIUS * size_px))
    return values * inside


def _local_contrast(image: Tensor, unsaturated: Tensor, inside: Tensor, radius: int) -> Tensor:
    enough = of_each(unsaturated.sum((1, 2)) >= used.LEAST_UNSATURATED * inside.sum((1, 2)))
    weight = torch.where(enough, unsaturated, inside).float()
    total = weight.sum((1, 2)).clamp(min=1)
    centred = image - of_each((weight * image).sum((1, 2)) / total)
    overall = of_each(((weight * centred.square()).sum((1, 2)) / total).sqrt())
    parts = torch.stack([weight, weight * centred, weight * centred.square()], 1)
    count, first, second = _window_sums(parts, max(1, round(radius / used.BLOCK))).unbind(1)
    # One pseudo-block of the global statistics keeps empty windows defined.
    count = count + used.BLOCK**2
    mean = first / count
    variance = ((second + used.BLOCK**2 * overall.square()) / count - mean.square()).clamp(min=0)
    scale = 1 / (variance.sqrt() + used.FLOOR_OF_GLOBAL_SD * overall + 1e-6)
    shape = image.shape[1:]
    contrast = (centred - enlarged(mean, shape)) * enlarged(scale, shape)
    return contrast.clamp(-used.CLIP, used.CLIP)


def _window_sums(parts: Tensor, reach: int) -> Tensor:
    """Sums (B, n, h / BLOCK, w / BLOCK) over windows of blocks, fewer at the border."""
    size = 2 * reach + 1
    blocks = functional.avg_pool2d(parts, used.BLOCK)
    means = functional.avg_pool2d(blocks, size, stride=1, padding=reach)
    return means * (used.BLOCK * size) ** 2
