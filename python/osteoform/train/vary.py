"""Images used more than once, each time a little different: where a GPU waits for new ones."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from osteoform.train.dataset import Batch

_KEPT_BATCHES = 512
_LOG_SCALE = 0.15
_SHIFT_SD_PX = 8.0
_GAIN = (0.75, 1.3)
_VEIL, _VEIL_CELLS = 0.35, 6
_NOISE = 0.25
_COVER_SHARE, _COVER = 0.3, (0.08, 0.35)


def varied_again(
    batches: Iterable[Batch], *, repeats: int, device: torch.device, seed: int
) -> Iterator[Batch]:
    """Every batch on `device` as it comes; behind it `repeats - 1` earlier ones, drawn and varied."""
    kept: deque[Batch] = deque(maxlen=_KEPT_BATCHES)
    chosen, rng = random.Random(seed), Generator(device).manual_seed(seed)
    for batch in batches:
        fresh = batch.to(device)
        yield fresh
        if repeats > 1:
            kept.append(fresh)
        for _ in range(repeats - 1):
            yield vary(kept[chosen.randrange(len(kept))], rng)


def vary(batch: Batch, rng: Generator) -> Batch:
    """Scale and shift every image (padding with zeros), and change its tone; truth goes along."""
    count, _, rows, columns = batch.images.shape
    device = batch.images.device
    size = torch.tensor([columns, rows], device=device)
    scale = torch.exp(_uniform(rng, (count, 1), -_LOG_SCALE, _LOG_SCALE))
    shift = _SHIFT_SD_PX * torch.randn(count, 2, generator=rng, device=device)
    middle = (size - 1) / 2

    def moved(points: Tensor) -> Tensor:
        return (points - middle) * scale[:, None] + middle + shift[:, None]

    points = moved(batch.points)
    inside = ((points > -0.5) & (points < size - 0.5)).all(2)
    corners = moved(batch.boxes.unflatten(2, (2, 2)).flatten(1, 2))
    boxes = corners.clamp(min=0).minimum(size - 1.0).unflatten(1, (-1, 2)).flatten(2)
    left = ((boxes[..., 2] > boxes[..., 0]) & (boxes[..., 3] > boxes[..., 1])).float()
    return replace(
        batch,
        images=_toned(_resampled(batch.images, scale, shift), rng),
        points=points,
        visible=batch.visible * inside,
        roots=batch.roots * scale[:, None],
        boxes=boxes * left[..., None],
        present=batch.present * left,
    )


def _resampled(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Images with every pixel p moved to scale (p - middle) + middle + shift."""
    half = torch.tensor([images.shape[3], images.shape[2]], device=images.device) / 2
    back = torch.diag_embed((1 / scale).expand(-1, 2))
    theta = torch.cat([back, (-shift / scale / half)[..., None]], 2)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _toned(images: Tensor, rng: Generator) -> Tensor:
    """Another contrast, a faint veil, noise, and on some images a patch that hides what is behind."""
    count = len(images)
    each = (count, 1, 1, 1)
    gain = _uniform(rng, each, *_GAIN)
    coarse = torch.randn(count, 1, _VEIL_CELLS, _VEIL_CELLS, generator=rng, device=images.device)
    veil = functional.interpolate(coarse, images.shape[2:], mode="bilinear")
    noise = torch.randn(images.shape, generator=rng, device=images.device)
    exposed = images != 0
    toned = gain * images + _uniform(rng, each, 0, _VEIL) * veil
    toned = (toned + _uniform(rng, each, 0, _NOISE) * noise) * exposed
    return torch.where(_patches(toned, rng), _uniform(rng, each, -1.5, 2.5), toned)


def _patches(images: Tensor, rng: Generator) -> Tensor:
    """Where the patches are, (B, 1, H, W) bool: a rectangle on some images."""
    count, _, rows, columns = images.shape
    each = (count, 1, 1, 1)
    covered = _uniform(rng, each, 0, 1) < _COVER_SHARE
    for axis, length in ((2, rows), (3, columns)):
        shape = [1, 1, 1, 1]
        shape[axis] = length
        at = torch.arange(length, device=images.device).reshape(shape) / length
        start = _uniform(rng, each, -0.1, 0.9)
        covered = covered & (at > start) & (at < start + _uniform(rng, each, *_COVER))
    return covered


def _uniform(rng: Generator, shape: tuple[int, ...], low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=rng, device=rng.device)
