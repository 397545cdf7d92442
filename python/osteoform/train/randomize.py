"""From thickness layers to what a network may meet: physics, exposure, clutter, all at random."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from torch.nn import functional

from osteoform._normalize import normalize
from osteoform._types import F32, F64
from osteoform.train.scenes import MARGIN_PX


@dataclass(frozen=True, kw_only=True)
class Warp:
    """A small affine map from pixels (u, v) of the image to pixels of the canvas."""

    matrix: F64
    offset: F64

    def to_canvas(self, points: F64) -> F64:
        """Canvas pixels (n, 2) of image pixels (n, 2)."""
        return points @ self.matrix.T + self.offset

    def to_image(self, points: F64) -> F64:
        """Image pixels (n, 2) of canvas pixels (n, 2)."""
        return (points - self.offset) @ np.linalg.inv(self.matrix).T


@dataclass(frozen=True, kw_only=True)
class RandomImage:
    """A normalised image (h, w) and where it is open: `in_field` (h, w)."""

    values: F32 = field(repr=False)
    in_field: NDArray[np.bool_] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Grey values (h, w) as a file may hold them, which way they run, and where it is open."""

    pixels: F32 = field(repr=False)
    dark_is_dense: bool
    in_field: NDArray[np.bool_] = field(repr=False)


def sample_warp(rng: Generator, size: tuple[int, int]) -> Warp:
    """Small rotation, scale and shift about the middle of an image of `size` (rows, columns)."""
    turn, scale = np.clip(rng.normal(0.0, 0.1), -0.2, 0.2), np.exp(rng.uniform(-0.12, 0.1))
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[c, -s], [s, c]])
    middle = np.array([size[1] - 1, size[0] - 1]) / 2
    shift = rng.normal(0.0, 6.0, 2)
    return Warp(matrix=matrix, offset=middle + MARGIN_PX + shift - matrix @ middle)


def randomize(
    layers: F32,
    warp: Warp,
    rng: Generator,
    *,
    size: tuple[int, int],
    clutter: F32,
    wrong_polarity: bool = False,
) -> RandomImage:
    """Expose layers (see `expose`) and normalise the image of `size` as in use.

    Parameters
    ----------
    wrong_polarity
        Normalise as if dense were on the other side: an image to reject.
    """
    exposure = expose(layers, warp, rng, size=size, clutter=clutter)
    dark_is_dense = exposure.dark_is_dense != wrong_polarity
    values = normalize(exposure.pixels, dark_is_dense=dark_is_dense).values
    return RandomImage(values=values, in_field=exposure.in_field)


def expose(
    layers: F32, warp: Warp, rng: Generator, *, size: tuple[int, int], clutter: F32
) -> Exposure:
    """Expose layers (3, H, W) [mm] to an image of `size`: beam, scatter, blur, noise, display.

    Parameters
    ----------
    clutter
        (size) extra attenuation of wires, markers and plates.
    """
    absorbed = _warped(_attenuation(layers, rng), warp, size) + clutter
    intensity = _add_scatter(np.exp(-absorbed), rng)
    in_field = _collimator(rng, size)
    leak = 0.0 if rng.uniform() < 0.6 else rng.uniform(0.0, 0.1)
    intensity *= leak + (1 - leak) * _soft_edge(in_field, rng)
    intensity = _add_noise(_blur(intensity, rng), rng)
    shown, dark_is_dense = _display(intensity, in_field, rng)
    return Exposure(pixels=shown, dark_is_dense=dark_is_dense, in_field=in_field)


def _attenuation(layers: F32, rng: Generator) -> F32:
    """Line integrals; bone counts by what it absorbs beyond the soft tissue that it displaces."""
    compact, spongy, whole = layers
    soft = rng.uniform(0.010, 0.025)
    dense, loose = rng.uniform(0.016, 0.06), rng.uniform(0.002, 0.018)
    texture = 1 + rng.uniform(0.0, 0.12) * _smooth_noise(rng, spongy.shape, rng.choice([2, 4, 8]))
    muscle = 1 + rng.uniform(0.0, 0.08) * _smooth_noise(rng, whole.shape, rng.choice([12, 24, 48]))
    total: F32 = dense * compact + loose * spongy * texture + soft * whole * muscle
    return total


def _warped(image: F32, warp: Warp, size: tuple[int, int]) -> F32:
    half = np.array(image.shape[::-1]) / 2
    half_out = np.array(size[::-1]) / 2
    # In units of half an image, as PyTorch has it: -1 and 1 are the outer edges.
    matrix = warp.matrix * half_out / half[:, None]
    offset = (warp.to_canvas(half_out[None] - 0.5)[0] + 0.5) / half - 1
    theta = torch.from_numpy(np.column_stack([matrix, offset]).astype(np.float32))
    grid = functional.affine_grid(theta[None], [1, 1, *size], align_corners=False)
    source = torch.from_numpy(image)[None, None]
    sampled = functional.grid_sample(source, grid, padding_mode="border", align_corners=False)
    warped: F32 = sampled[0, 0].numpy()
    return warped


def _add_scatter(intensity: F32, rng: Generator) -> F32:
    """Veil: a wide blur of the image, added."""
    share = rng.uniform(0.0, 0.8) if rng.uniform() < 0.7 else 0.0
    if share == 0.0:
        return intensity
    small = functional.interpolate(
        torch.from_numpy(intensity)[None, None], scale_factor=1 / 16, mode="area"
    )
    wide = ndimage.gaussian_filter(small[0, 0].numpy(), rng.uniform(0.7, 2.5), mode="nearest")
    return intensity + np.float32(share) * _enlarged(wide, intensity.shape)


def _collimator(rng: Generator, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Open everywhere, in a disc, in a tilted rectangle or in an upright strip."""
    kind = rng.choice(["open", "disc", "rectangle", "strip"], p=[0.37, 0.3, 0.23, 0.1])
    v, u = np.ogrid[: size[0], : size[1]]
    u, v = u - size[1] / 2 - rng.normal(0.0, 4.0), v - size[0] / 2 - rng.normal(0.0, 4.0)
    if kind == "open":
        return np.ones(size, np.bool_)
    if kind == "disc":
        radius = max(size) / 2 * rng.uniform(0.82, 1.12)
        return np.asarray(u * u + v * v < radius * radius)
    turn = rng.normal(0.0, 0.05)
    across, along = np.cos(turn) * u + np.sin(turn) * v, np.cos(turn) * v - np.sin(turn) * u
    half_u, half_v = (n / 2 * rng.uniform(0.75, 1.02) for n in (size[1], size[0]))
    if kind == "strip":
        half_u *= rng.uniform(0.45, 0.9)
    return np.asarray((np.abs(across) < half_u) & (np.abs(along) < half_v))


def _soft_edge(in_field: NDArray[np.bool_], rng: Generator) -> F32:
    mask = in_field.astype(np.float32)
    if in_field.all() or rng.uniform() < 0.4:
        return mask
    edge: F32 = ndimage.uniform_filter(mask, int(rng.integers(2, 6)))
    return edge


def _blur(intensity: F32, rng: Generator) -> F32:
    if rng.uniform() < 0.5:
        return intensity
    blurred: F32 = ndimage.gaussian_filter(intensity, rng.uniform(0.3, 1.1), truncate=2.5)
    return blurred


def _add_noise(intensity: F32, rng: Generator) -> F32:
    """Quantum noise grows with the root of the intensity; electronics add a constant."""
    noise = rng.standard_normal(intensity.shape, np.float32)
    if rng.uniform() < 0.3:
        noise = 2.0 * ndimage.uniform_filter(noise, 3)
    typical = np.sqrt(max(float(np.median(intensity)), 1e-6))
    quantum = np.exp(rng.uniform(np.log(0.002), np.log(0.03))) * typical
    noisy: F32 = np.maximum(intensity + quantum * np.sqrt(intensity) * noise, 0.0)
    return noisy


def _display(intensity: F32, in_field: NDArray[np.bool_], rng: Generator) -> tuple[F32, bool]:
    """Raw, or processed for reading; 8 bit or more. Returns grey values and dark_is_dense.

    Films are exposed, and windows set, for what lies behind the bones, not for the air beside.
    """
    dim, air = np.maximum(np.percentile(intensity[in_field], (30, 99)), 1e-6)
    if rng.uniform() < 0.55:
        white = np.exp(rng.uniform(np.log(1.3 * dim), np.log(1.2 * air + 0.1 * dim)))
        shown = np.clip(intensity / white, 0.0, 1.0) ** np.float32(np.exp(rng.normal(0.0, 0.25)))
        dark_is_dense = rng.uniform() < 0.85
        shown = shown if dark_is_dense else 1.0 - shown
    else:
        shown = -np.log(intensity + np.float32(dim * np.exp(rng.uniform(-3.0, 0.7))))
        low, high = np.percentile(shown, (rng.uniform(0, 8), rng.uniform(96, 100)))
        shown = np.clip((shown - low) / (high - low + 1e-6), 0.0, 1.0)
        shown = shown ** np.float32(np.exp(rng.normal(0.0, 0.3)))
        dark_is_dense = rng.uniform() < 0.3
        shown = 1.0 - shown if dark_is_dense else shown
    if rng.uniform() < 0.6:
        shown = np.round(shown * 255.0)
    return shown.astype(np.float32), bool(dark_is_dense)


def _smooth_noise(rng: Generator, shape: tuple[int, ...], cell: int) -> F32:
    """Noise with a grain of `cell` pixels."""
    return _enlarged(rng.standard_normal([n // cell + 2 for n in shape], np.float32), shape)


def _enlarged(image: F32, shape: tuple[int, ...]) -> F32:
    big = functional.interpolate(
        torch.from_numpy(image)[None, None], size=shape, mode="bilinear", align_corners=False
    )
    enlarged: F32 = big[0, 0].numpy()
    return enlarged
