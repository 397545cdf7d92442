"""What the detector sees of an image: small, logarithmic, locally normalised. NumPy only.

Training has the same in PyTorch (`train/look.py`), with these constants: a network is only as good as
the agreement of the two.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._types import F32, F64

NORMALIZATION = "log-local-contrast-1"
INPUT_PX = 256
MULTIPLE_PX = 64
CLIP = 3.0

EXTREME_PERCENT = (0.2, 99.8)
LOG_FLOOR = 0.02
SATURATED = 0.005
WINDOW_RADIUS = 0.125
BLOCK = 4
FLOOR_OF_GLOBAL_SD = 0.1
LEAST_UNSATURATED = 0.05


@dataclass(frozen=True, kw_only=True)
class NormalizedImage:
    """An image as the network takes it, not yet padded.

    Attributes
    ----------
    values
        (h, w) float32, dense = bright, about unit local variance, within +-CLIP.
    source_px_per_px
        (2,): original pixels (u, v) per pixel of `values`;
        u_source = (u + 0.5) * source_px_per_px[0] - 0.5.
    """

    values: F32 = field(repr=False)
    source_px_per_px: tuple[float, float]

    def to_source(self, points_px: F64) -> F64:
        """Original pixels (n, 2) of points (n, 2) in `values`."""
        source: F64 = (points_px + 0.5) * np.asarray(self.source_px_per_px) - 0.5
        return source


def normalize(pixels: F32, *, dark_is_dense: bool, size_px: int = INPUT_PX) -> NormalizedImage:
    """Shrink an image (rows, columns) to `size_px` along its longer side and normalise it."""
    small, scale = shrink(np.asarray(pixels, np.float32), size_px)
    level = grey_level(small)
    dense = density(level if dark_is_dense else 1.0 - level)
    inside = (level > SATURATED) & (level < 1.0 - SATURATED)
    radius = max(1, round(WINDOW_RADIUS * size_px))
    return NormalizedImage(values=local_contrast(dense, inside, radius), source_px_per_px=scale)


def shrink(pixels: F32, size_px: int) -> tuple[F32, tuple[float, float]]:
    """Area-average an image so that its longer side has `size_px` pixels.

    Returns
    -------
    small, (scale_u, scale_v)
        The small image and the original pixels per small pixel. Up to `factor - 1` last rows and
        columns are dropped.
    """
    rows, columns = pixels.shape
    factor = max(1, max(rows, columns) // size_px)
    factor = min(factor, rows, columns)
    blocks = _block_mean(pixels, factor)
    block_rows, block_columns = blocks.shape
    ratio = size_px / max(block_rows, block_columns)
    height, width = max(1, round(block_rows * ratio)), max(1, round(block_columns * ratio))
    small = blocks
    if height != block_rows:
        small = _area_weights(block_rows, height) @ small
    if width != block_columns:
        small = small @ _area_weights(block_columns, width).T
    small = np.nan_to_num(small, nan=0.0, posinf=0.0, neginf=0.0)
    return small, (factor * block_columns / width, factor * block_rows / height)


def grey_level(small: F32) -> F32:
    """Stretch to [0, 1] between the extreme permilles; a constant image becomes 0.5."""
    low, high = np.percentile(small, EXTREME_PERCENT)
    if not high > low:
        return np.full_like(small, 0.5)
    level: F32 = np.clip((small - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return level


def density(level: F32) -> F32:
    """Line integral up to gain and offset: the negative logarithm of the intensity."""
    dense: F32 = -np.log(level + np.float32(LOG_FLOOR))
    return dense


def local_contrast(image: F32, inside: NDArray[np.bool_], radius: int) -> F32:
    """Subtract the local mean and divide by the local deviation, over a square window.

    `inside` marks the pixels that count: saturated air and the collimator's shadow would
    otherwise drown the bone beside them. The window's statistics are taken of blocks of pixels
    and interpolated.
    """
    weight = inside.astype(np.float32)
    if weight.mean() < LEAST_UNSATURATED:
        weight = np.ones_like(weight)
    total = weight.sum()
    middle = np.float32((weight * image).sum() / total)
    centred = image - middle
    weighted = weight * centred
    overall = float(np.sqrt((weighted * centred).sum() / total))
    reach = max(1, round(radius / BLOCK))
    sums = [_box_sum(_block_sum(x), reach) for x in (weight, weighted, weighted * centred)]
    # One pseudo-block of the global statistics keeps empty windows defined.
    count = sums[0] + BLOCK**2
    mean = sums[1] / count
    variance = np.maximum((sums[2] + BLOCK**2 * overall**2) / count - mean**2, 0.0)
    scale = 1.0 / (np.sqrt(variance) + FLOOR_OF_GLOBAL_SD * overall + 1e-6)
    rows, columns = (_interpolation(n) for n in image.shape)
    contrast = (centred - rows @ mean @ columns.T) * (rows @ scale @ columns.T)
    limited: F32 = np.clip(contrast, -CLIP, CLIP)
    return limited


def pad_to_multiple(values: F32, multiple: int = MULTIPLE_PX) -> F32:
    """Zero-pad (h, w) at the bottom and the right."""
    height, width = values.shape
    if height % multiple == width % multiple == 0:
        return values
    return np.pad(values, ((0, -height % multiple), (0, -width % multiple)))


def _block_mean(pixels: F32, factor: int) -> F32:
    rows, columns = (n // factor * factor for n in pixels.shape)
    cropped = pixels[:rows, :columns]
    total = cropped[0::factor].copy()
    for i in range(1, factor):
        total += cropped[i::factor]
    narrow = total[:, 0::factor].copy()
    for i in range(1, factor):
        narrow += total[:, i::factor]
    narrow /= np.float32(factor * factor)
    return narrow


def _area_weights(num_in: int, num_out: int) -> F32:
    """(num_out, num_in) matrix of the box filter that resamples a line."""
    edges = np.linspace(0.0, num_in, num_out + 1)
    cells = np.arange(num_in)
    upper = np.minimum(edges[1:, None], cells + 1.0)
    lower = np.maximum(edges[:-1, None], cells)
    weights: F32 = (np.maximum(upper - lower, 0.0) * (num_out / num_in)).astype(np.float32)
    return weights


def _block_sum(image: F32) -> F32:
    return _block_mean(pad_to_multiple(image, BLOCK), BLOCK) * np.float32(BLOCK**2)


def _interpolation(num_pixels: int) -> F32:
    """(num_pixels, num_blocks) weights that interpolate between the centres of blocks."""
    num_blocks = -(-num_pixels // BLOCK)
    at = np.clip((np.arange(num_pixels) + 0.5) / BLOCK - 0.5, 0, num_blocks - 1)
    weights: F32 = np.maximum(1 - np.abs(at[:, None] - np.arange(num_blocks)), 0.0)
    return weights.astype(np.float32)


def _box_sum(image: F32, radius: int) -> F32:
    return _line_sum(_line_sum(image, radius).T, radius).T


def _line_sum(image: F32, radius: int) -> F32:
    """Sum over rows i - radius .. i + radius, fewer at the border."""
    rows = image.shape[0]
    total = np.zeros((rows + 1, image.shape[1]))
    np.cumsum(image, axis=0, out=total[1:])
    last = np.minimum(np.arange(rows) + radius + 1, rows)
    first = np.maximum(np.arange(rows) - radius, 0)
    summed: F32 = (total[last] - total[first]).astype(np.float32)
    return summed
