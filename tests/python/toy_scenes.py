"""Scenes without bones, quickly drawn: smooth layers, and truth at random places."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from osteoform.train.dataset import SHAPES, Scenes
from osteoform.train.scenes import MARGIN_PX
from osteoform.train.stock import PACK_SIZE, Packs, shape_of
from training_batch import CHANNELS

_OUTLINE_POINTS = 80


def toy_scenes(count: int, shape: tuple[int, int], seed: int) -> Scenes:
    """Canvases for images of `shape`: soft tissue of up to 150 mm, with bone in blobs."""
    rng = torch.Generator().manual_seed(seed)
    rows, columns = (n + 2 * MARGIN_PX for n in shape)
    coarse = torch.rand(count, 3, 9, 9, generator=rng)
    layers = functional.interpolate(coarse, (rows, columns), mode="bicubic").clamp(0, 1)
    size = torch.tensor([columns, rows])
    root = torch.rand(count, len(CHANNELS.ellipse_heat), 2, 2, generator=rng)
    direction = torch.rand(count, 2, generator=rng) - 0.5
    return Scenes(
        layers=(layers * torch.tensor([20.0, 60.0, 150.0])[:, None, None]).half(),
        points=torch.rand(count, CHANNELS.num_heat, 2, generator=rng) * size,
        roots=10 * (root + root.mT),
        outlines=torch.rand(count, _OUTLINE_POINTS, 2, generator=rng) * size,
        bone_of=(torch.arange(_OUTLINE_POINTS) % 4).to(torch.int8).expand(count, -1),
        direction=functional.normalize(direction, dim=1),
    )


class ToyPacks(Packs):
    """Packs of small canvases, by index."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(Path(), (), seed)

    def __getitem__(self, index: int) -> Scenes:
        rows, columns = SHAPES[shape_of(index)]
        return toy_scenes(PACK_SIZE, (rows // 8, columns // 8), 1000 * self.seed + index)
