"""Things that cross bones in real X-rays: wires, bolts, electrodes, plates, letters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.random import Generator
from scipy import ndimage
from torch import Tensor

from osteoform._types import F32
from osteoform.train.dice import Dice
from osteoform.train.tones import of_each

_SIZE_PX = 256


def draw_bank(count: int, seed: int, device: torch.device | None = None) -> Tensor:
    """Clutter images (8 * count, 256, 256), attenuation relative to the strongest item.

    Each is there turned by every quarter and mirrored, one after the other.
    """
    drawn = np.stack([_draw(np.random.default_rng((seed, i))) for i in range(count)])
    turned = np.stack([np.rot90(drawn, k, (1, 2)) for k in range(4)], 1)
    both = np.stack([turned, turned[..., ::-1]], 1).reshape(-1, _SIZE_PX, _SIZE_PX)
    return torch.from_numpy(both.astype(np.float16)).to(device)


def pick(bank: Tensor, dice: Dice, shape: tuple[int, int]) -> Tensor:
    """Attenuation (B, *shape) of nothing, or of one or two items, cut out at random."""
    number = dice.choice((0.0, 1.0, 2.0), (0.45, 0.35, 0.2))
    first, second = (_cut(bank, dice, shape) for _ in range(2))
    return first * of_each(number > 0) + second * of_each(number > 1)


def _cut(bank: Tensor, dice: Dice, shape: tuple[int, int]) -> Tensor:
    which = of_each(dice.below(len(bank)))
    row, column = (
        dice.below(_SIZE_PX - n + 1)[:, None] + torch.arange(n, device=bank.device) for n in shape
    )
    weight = of_each(dice.log_uniform(0.1, 2.5))
    return weight * bank[which, row[:, :, None], column[:, None, :]].float()


def _draw(rng: Generator) -> F32:
    image = np.zeros((_SIZE_PX, _SIZE_PX), np.float32)
    if rng.uniform() < 0.7:
        for _ in range(rng.integers(1, 7)):
            _add_wire(image, rng)
    for _ in range(rng.integers(0, 5)):
        _add_object(image, rng)
    return np.minimum(image, 1.5)


def _add_wire(image: F32, rng: Generator) -> None:
    """A smooth random curve, one to three pixels wide."""
    knots = rng.uniform(-0.1, 1.1, 2) + np.cumsum(rng.normal(0.0, 0.22, (rng.integers(4, 9), 2)), 0)
    at = np.linspace(0, len(knots) - 1, 2500)
    curve = np.stack(
        [ndimage.map_coordinates(knots[:, i], [at], order=3, mode="nearest") for i in range(2)]
    )
    row, column = np.round(curve * _SIZE_PX).astype(int)
    inside = (row >= 0) & (row < _SIZE_PX) & (column >= 0) & (column < _SIZE_PX)
    line = np.zeros_like(image)
    line[row[inside], column[inside]] = 1.0
    line = ndimage.gaussian_filter(line, rng.uniform(0.45, 1.1))
    image += line / max(line.max(), 1e-6) * rng.uniform(0.2, 1.0)


def _add_object(image: F32, rng: Generator) -> None:
    """A disc, a ring, a bar with a head, a plate or a letter-like block."""
    v, u = np.ogrid[:_SIZE_PX, :_SIZE_PX]
    turn, center = rng.uniform(0, 2 * np.pi), rng.uniform(0, _SIZE_PX, 2)
    du, dv = u - center[0], v - center[1]
    x, y = np.cos(turn) * du + np.sin(turn) * dv, np.cos(turn) * dv - np.sin(turn) * du
    size = rng.uniform(3.0, 9.0)
    kind = rng.choice(["disc", "ring", "bolt", "plate", "letter"])
    if kind == "disc":
        shape = x * x + y * y < size * size
    elif kind == "ring":
        distance = np.hypot(x, y)
        shape = (distance < size) & (distance > size * rng.uniform(0.5, 0.8))
    elif kind == "bolt":
        bar = (np.abs(x) < 1.5 * size) & (np.abs(y) < 0.25 * size)
        shape = bar | ((np.abs(x - 1.5 * size) < 0.25 * size) & (np.abs(y) < 0.7 * size))
    elif kind == "plate":
        shape = (np.abs(x) < size * rng.uniform(1.0, 6.0)) & (np.abs(y) < size * 0.5)
    else:
        strokes = rng.uniform(size=(5, 3)) < 0.55
        row = np.clip((dv / size * 2.5 + 2.5).astype(int), -1, 5)
        column = np.clip((du / size * 2.5 + 1.5).astype(int), -1, 3)
        padded = np.pad(strokes, 1)
        shape = padded[row + 1, column + 1]
    image += shape.astype(np.float32) * np.float32(rng.uniform(0.2, 1.0))
