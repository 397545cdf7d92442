"""Percentiles, blurs and other sums over the pixels of a batch of images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Percentiles are taken of every second pixel of every second row.
_EVERY = 2
_REACH_PX = 3


def of_each(values: Tensor) -> Tensor:
    """(B,) as (B, 1, 1): a number for all pixels of each image."""
    return values[:, None, None]


def percentiles(images: Tensor, inside: Tensor, *percents: float | Tensor) -> list[Tensor]:
    """Percentiles, (B,) each, of images (B, h, w) where `inside` (B, h, w)."""
    counted = inside[:, ::_EVERY, ::_EVERY].flatten(1)
    some = images[:, ::_EVERY, ::_EVERY].flatten(1)
    ordered = torch.where(counted, some, torch.inf).sort(1).values
    last = (counted.sum(1) - 1).clamp(min=0)
    return [ordered.gather(1, (last * p / 100).round().long()[:, None])[:, 0] for p in percents]


def gaussian_taps(sd_px: Tensor) -> Tensor:
    """(B, 7): weights of a Gaussian blur along a line, deviations (B,)."""
    return torch.softmax(-0.5 * (_offsets(sd_px) / sd_px[:, None]).square(), 1)


def window_taps(width_px: Tensor) -> Tensor:
    """(B, 7): weights of the mean over windows `width_px` (B,) long, between 1 and 7."""
    share = (0.5 * width_px[:, None] + 0.5 - _offsets(width_px).abs()).clamp(0, 1)
    return share / share.sum(1, keepdim=True)


def smoothed(images: Tensor, taps: Tensor) -> Tensor:
    """Images (B, h, w) blurred along both axes, each by its own `taps` (B, 7)."""
    count, reach = len(images), taps.shape[1] // 2
    padded = functional.pad(images[None], (reach,) * 4, mode="replicate")
    along = functional.conv2d(padded, taps[:, None, None, :], groups=count)
    return functional.conv2d(along, taps[:, None, :, None], groups=count)[0]


def veiled(images: Tensor, cell_px: int, sd_cells: Tensor) -> Tensor:
    """Images (B, h, w) blurred widely: means of cells, blurred by `sd_cells` (B,), enlarged."""
    rows, columns = (max(1, n // cell_px) for n in images.shape[1:])
    small = functional.interpolate(images[:, None], (rows, columns), mode="area")[:, 0]
    small = _line_blur(rows, sd_cells) @ small @ _line_blur(columns, sd_cells).mT
    return enlarged(small, images.shape[1:])


def enlarged(small: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Images (B, h, w) interpolated to (B, *shape)."""
    return functional.interpolate(
        small[:, None], tuple(shape), mode="bilinear", align_corners=False
    )[:, 0]


def _offsets(like: Tensor) -> Tensor:
    return torch.arange(-_REACH_PX, _REACH_PX + 1, device=like.device, dtype=like.dtype)


def _line_blur(length: int, sd: Tensor) -> Tensor:
    """(B, length, length): Gaussian weights; rows sum to 1."""
    at = torch.arange(length, device=sd.device, dtype=sd.dtype)
    return torch.softmax(-0.5 * ((at[:, None] - at) / sd[:, None, None]).square(), 2)
