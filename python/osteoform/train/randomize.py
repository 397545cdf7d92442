"""From thickness layers to what a network may meet: physics, exposure, clutter, all at random.

Batches of images on any device: on a GPU they are made as fast as a network learns from them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from osteoform.train.dice import Dice
from osteoform.train.look import normalized
from osteoform.train.tones import (
    gaussian_taps,
    of_each,
    percentiles,
    smoothed,
    veiled,
    window_taps,
)

_VEIL_CELL_PX, _DETAIL_CELL_PX = 16, 4
_OPEN, _DISC, _RECTANGLE, _STRIP = range(4)


@dataclass(frozen=True, kw_only=True)
class Warp:
    """Small similarities from pixels (u, v) of images to pixels of their canvases.

    `scale` (B,) times the rotation `turn` (B, 2, 2), then `offset` (B, 2).
    """

    scale: Tensor
    turn: Tensor
    offset: Tensor

    @staticmethod
    def none(count: int) -> Warp:
        """Canvases are the images."""
        turn = torch.eye(2).expand(count, 2, 2)
        return Warp(scale=torch.ones(count), turn=turn, offset=torch.zeros(count, 2))

    def to_canvas(self, points: Tensor) -> Tensor:
        """Canvas pixels (B, n, 2) of image pixels (B, n, 2)."""
        return of_each(self.scale) * (points @ self.turn.mT) + self.offset[:, None]

    def to_image(self, points: Tensor) -> Tensor:
        """Image pixels (B, n, 2) of canvas pixels (B, n, 2)."""
        return (points - self.offset[:, None]) @ self.turn / of_each(self.scale)


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Where images lie in arrays (B, h, w): rows and columns `sizes` (B, 2) from the first pixel."""

    shape: tuple[int, int]
    sizes: Tensor

    @staticmethod
    def full(count: int, shape: tuple[int, int]) -> Extent:
        """Images as large as the arrays."""
        return Extent(shape=shape, sizes=torch.tensor(shape).expand(count, 2))

    @property
    def inside(self) -> Tensor:
        """(B, h, w) bool."""
        v, u = self.pixels
        return (v < of_each(self.sizes[:, 0])) & (u < of_each(self.sizes[:, 1]))

    @property
    def pixels(self) -> tuple[Tensor, Tensor]:
        """Rows (1, h, 1) and columns (1, 1, w)."""
        device = self.sizes.device
        rows, columns = (torch.arange(n, device=device) for n in self.shape)
        return rows[None, :, None], columns[None, None, :]


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Grey values (B, h, w) as files may hold them, 0 to 1, and which way they run.

    Attributes
    ----------
    pixels
        Nothing is meant by those beyond the extent.
    dark_is_dense
        (B,) bool.
    in_field
        (B, h, w) bool: in the extent, and where the collimator is open.
    """

    pixels: Tensor = field(repr=False)
    dark_is_dense: Tensor
    in_field: Tensor = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class RandomImages:
    """Normalised images (B, h, w), 0 beyond the extent, and `in_field` (B, h, w) as in Exposure."""

    values: Tensor = field(repr=False)
    in_field: Tensor = field(repr=False)


def draw_warps(dice: Dice, extent: Extent, *, margin_px: int) -> Warp:
    """Small rotations, scales and shifts about the middle of each image.

    Canvases have `margin_px` more than the images all round.
    """
    angle = dice.normal(0.1).clamp(-0.2, 0.2)
    scale = torch.exp(dice.uniform(-0.12, 0.1))
    c, s = torch.cos(angle), torch.sin(angle)
    turn = torch.stack([torch.stack([c, -s], 1), torch.stack([s, c], 1)], 1)
    middle = (extent.sizes.flip(1) - 1) / 2
    turned = scale[:, None] * (turn @ middle[..., None])[..., 0]
    offset = middle + margin_px + dice.normal(6.0, 2) - turned
    return Warp(scale=scale, turn=turn, offset=offset)


def randomize(
    layers: Tensor,
    warp: Warp,
    dice: Dice,
    *,
    extent: Extent,
    clutter: Tensor,
    wrong_polarity: Tensor | None = None,
) -> RandomImages:
    """Expose layers (see `expose`) and normalise the images as in use.

    Parameters
    ----------
    wrong_polarity
        (B,) bool: normalise as if dense were on the other side, images to reject.
    """
    exposure = expose(layers, warp, dice, extent=extent, clutter=clutter)
    dark_is_dense = exposure.dark_is_dense
    if wrong_polarity is not None:
        dark_is_dense = dark_is_dense ^ wrong_polarity
    values = normalized(exposure.pixels, extent.inside, dark_is_dense)
    return RandomImages(values=values, in_field=exposure.in_field)


def expose(layers: Tensor, warp: Warp, dice: Dice, *, extent: Extent, clutter: Tensor) -> Exposure:
    """Expose layers (B, 3, H, W) [mm]: beam, scatter, blur, noise, display.

    Parameters
    ----------
    clutter
        (B, h, w): extra attenuation of wires, markers and plates.
    """
    inside = extent.inside
    absorbed = _warped(_attenuation(layers, dice), warp, extent) + clutter
    intensity = torch.exp(-absorbed)
    scatter = dice.uniform(0.0, 0.8) * dice.chance(0.7)
    veil = veiled(intensity, _VEIL_CELL_PX, dice.uniform(0.7, 2.5))
    intensity = intensity + of_each(scatter) * veil
    is_open = _collimator(dice, extent)
    leak = of_each(dice.uniform(0.0, 0.1) * ~dice.chance(0.6))
    intensity = intensity * (leak + (1 - leak) * _soft_edge(is_open, dice))
    intensity = _add_noise(_blur(intensity, dice), inside, dice)
    pixels, dark_is_dense = _display(intensity, inside & is_open, inside, dice)
    return Exposure(pixels=pixels, dark_is_dense=dark_is_dense, in_field=inside & is_open)


def _attenuation(layers: Tensor, dice: Dice) -> Tensor:
    """Line integrals; bone counts by what it absorbs beyond the soft tissue that it displaces."""
    compact, spongy, whole = layers.float().unbind(1)
    soft = of_each(dice.uniform(0.010, 0.025))
    dense, loose = of_each(dice.uniform(0.016, 0.06)), of_each(dice.uniform(0.002, 0.018))
    texture = 1 + of_each(dice.uniform(0.0, 0.12)) * _grain(dice, spongy, (2, 4, 8))
    muscle = 1 + of_each(dice.uniform(0.0, 0.08)) * _grain(dice, whole, (12, 24, 48))
    return dense * compact + loose * spongy * texture + soft * whole * muscle


def _grain(dice: Dice, like: Tensor, cells_px: tuple[int, ...]) -> Tensor:
    """Noise (B, h, w) with a grain of one of `cells_px`, the finest first."""
    rows, columns = (n // cells_px[0] + 2 for n in like.shape[1:])
    noise = dice.normal(1.0, 1, rows, columns)
    part = cells_px[0] / dice.choice(cells_px)
    theta = part[:, None, None] * torch.eye(2, 3, device=part.device)
    grid = functional.affine_grid(theta, [len(like), 1, *like.shape[1:]], align_corners=False)
    return functional.grid_sample(noise, grid, padding_mode="border", align_corners=False)[:, 0]


def _warped(images: Tensor, warp: Warp, extent: Extent) -> Tensor:
    v, u = extent.pixels
    last_v, last_u = (of_each(n - 1) for n in extent.sizes.unbind(1))
    u, v = torch.minimum(u, last_u).float(), torch.minimum(v, last_v).float()
    matrix = of_each(warp.scale) * warp.turn
    along = []
    for axis, length in enumerate(images.shape[:0:-1]):
        by_u, by_v = (of_each(matrix[:, axis, k]) for k in (0, 1))
        canvas = by_u * u + by_v * v + of_each(warp.offset[:, axis])
        along.append((canvas + 0.5) * (2 / length) - 1)  # -1 and 1 are the outer edges
    grid = torch.stack(along, 3)
    sampled = functional.grid_sample(
        images[:, None], grid, padding_mode="border", align_corners=False
    )
    return sampled[:, 0]


def _collimator(dice: Dice, extent: Extent) -> Tensor:
    """(B, h, w): open everywhere, in a disc, in a tilted rectangle or in an upright strip."""
    kind = of_each(dice.choice((_OPEN, _DISC, _RECTANGLE, _STRIP), (0.37, 0.3, 0.23, 0.1)))
    rows, columns = extent.sizes.unbind(1)
    v, u = extent.pixels
    u = u - of_each(columns / 2 + dice.normal(4.0))
    v = v - of_each(rows / 2 + dice.normal(4.0))
    radius = of_each(extent.sizes.amax(1) / 2 * dice.uniform(0.82, 1.12))
    in_disc = u * u + v * v < radius * radius
    turn = of_each(dice.normal(0.05))
    across = torch.cos(turn) * u + torch.sin(turn) * v
    along = torch.cos(turn) * v - torch.sin(turn) * u
    half_u = of_each(columns / 2 * dice.uniform(0.75, 1.02))
    half_v = of_each(rows / 2 * dice.uniform(0.75, 1.02))
    half_u = half_u * torch.where(kind == _STRIP, of_each(dice.uniform(0.45, 0.9)), 1.0)
    in_rectangle = (across.abs() < half_u) & (along.abs() < half_v)
    return torch.where(kind == _DISC, in_disc, in_rectangle) | (kind == _OPEN)


def _soft_edge(is_open: Tensor, dice: Dice) -> Tensor:
    hard = dice.chance(0.4)
    width = torch.where(hard, 1.0, 2.0 + dice.below(4))
    return smoothed(is_open.float(), window_taps(width))


def _blur(intensity: Tensor, dice: Dice) -> Tensor:
    sharp = dice.chance(0.5)
    sd = torch.where(sharp, 0.05, dice.uniform(0.3, 1.1))
    return smoothed(intensity, gaussian_taps(sd))


def _add_noise(intensity: Tensor, inside: Tensor, dice: Dice) -> Tensor:
    """Quantum noise grows with the root of the intensity; electronics add a constant."""
    noise = dice.normal(1.0, *intensity.shape[1:])
    coarse = 2 * functional.avg_pool2d(noise, 3, stride=1, padding=1)
    noise = torch.where(of_each(dice.chance(0.3)), coarse, noise)
    (median,) = percentiles(intensity, inside, 50.0)
    quantum = of_each(dice.log_uniform(0.002, 0.03) * median.clamp(min=1e-6).sqrt())
    return (intensity + quantum * intensity.sqrt() * noise).clamp(min=0)


def _sharpened(shown: Tensor, dice: Dice) -> Tensor:
    """Unsharp masking: fine detail stands out more, on some images."""
    coarse = veiled(shown, _DETAIL_CELL_PX, dice.uniform(0.5, 2.0))
    return shown + of_each(dice.uniform(0.0, 1.2) * dice.chance(0.5)) * (shown - coarse)


def _display(
    intensity: Tensor, in_field: Tensor, inside: Tensor, dice: Dice
) -> tuple[Tensor, Tensor]:
    """Raw, or processed for reading; 8 bit or more. Returns grey values and dark_is_dense.

    Films are exposed, and windows set, for what lies behind the bones, not for the air beside.
    """
    dim, air = (p.clamp(min=1e-6) for p in percentiles(intensity, in_field, 30.0, 99.0))
    white = torch.exp(dice.uniform((1.3 * dim).log(), (1.2 * air + 0.1 * dim).log()))
    raw = (intensity / of_each(white)).clamp(0, 1) ** of_each(torch.exp(dice.normal(0.25)))
    raw_is_dark = dice.chance(0.85)
    processed = -torch.log(intensity + of_each(dim * torch.exp(dice.uniform(-3.0, 0.7))))
    processed = _sharpened(processed, dice)
    low, high = percentiles(processed, inside, dice.uniform(0.0, 8.0), dice.uniform(96.0, 100.0))
    processed = (processed - of_each(low)) / of_each(high - low + 1e-6)
    processed = processed.clamp(0, 1) ** of_each(torch.exp(dice.normal(0.3)))
    processed_is_dark = dice.chance(0.3)
    raw = torch.where(of_each(raw_is_dark), raw, 1 - raw)
    processed = torch.where(of_each(processed_is_dark), 1 - processed, processed)
    is_raw = dice.chance(0.55)
    shown = torch.where(of_each(is_raw), raw, processed)
    in_8_bits = of_each(dice.chance(0.6))
    shown = torch.where(in_8_bits, torch.round(shown * 255) / 255, shown)
    return shown, torch.where(is_raw, raw_is_dark, processed_is_dark)
