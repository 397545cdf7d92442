"""From grey values to gradients at a scale, and the search for an edge along a normal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

DARKEST = np.float32(1.0 / 400.0)
MAX_STEPS = 160
NOISE_GRID = 32  # samples along the shorter side
HALVING_SIGMA_PX = 0.25


@dataclass(frozen=True)
class Patch:
    """Part of an image: pixel (u, v) here is factor * (u + left, v + top) + (factor - 1) / 2."""

    factor: int
    left: int
    top: int
    width: int
    height: int

    def from_source(self, px: F64) -> F64:
        return (px - 0.5 * (self.factor - 1)) / self.factor - [self.left, self.top]


@dataclass(frozen=True)
class EdgeImage:
    """Gradient of the attenuation, (height, width) each way, and its noise."""

    patch: Patch
    du: F32
    dv: F32
    noise: float


def patch_around(size_px: tuple[int, int], factor: int, low_px: F64, high_px: F64) -> Patch:
    """The pixels of (width, height) that a box meets; empty where they do not meet."""
    size = np.array(size_px) // factor
    left, top = np.clip(np.floor(low_px / factor), 0, size).astype(int)
    right, bottom = np.clip(np.ceil(high_px / factor), 0, size).astype(int)
    width, height = int(right - left), int(bottom - top)
    if width < 3 or height < 3:
        width = height = 0
    return Patch(factor, int(left), int(top), width, height)


def attenuation(
    pixels: F32, patch: Patch, low: float, high: float, *, bright_is_dense: bool = False
) -> F32:
    """Dense = bright: minus the logarithm of the mean intensity, inverted where bright is dense."""
    f = patch.factor
    box = pixels[
        patch.top * f : (patch.top + patch.height) * f,
        patch.left * f : (patch.left + patch.width) * f,
    ]
    if f > 1:
        box = box.reshape(patch.height, f, patch.width, f).sum(axis=(1, 3), dtype=np.float32)
    scale = np.float32(1.0 / (f * f * max(high - low, 1e-20)))
    values = box * scale - np.float32(low * scale * f * f)
    if bright_is_dense:
        values = np.float32(1.0) - values
    return -np.log(np.maximum(values, np.float32(0.0)) + DARKEST)


def halved(image: F32, patch: Patch) -> tuple[F32, Patch]:
    """Means of four pixels on the source's even grid, and where they lie."""
    left, top = (patch.left + 1) // 2, (patch.top + 1) // 2
    u, v = 2 * left - patch.left, 2 * top - patch.top
    width, height = (patch.width - u) // 2, (patch.height - v) // 2
    if width < 3 or height < 3:
        width = height = 0
    rows = image[v : v + 2 * height, u : u + 2 * width]
    pairs = rows[::2] + rows[1::2]
    means = np.float32(0.25) * (pairs[:, ::2] + pairs[:, 1::2])
    return means, Patch(2 * patch.factor, left, top, width, height)


def gaussian_blur(image: F32, sigma_px: float) -> F32:
    """Separable Gaussian, cut at 3 sigma, borders repeated."""
    if sigma_px <= 0.0 or image.size == 0:
        return image.copy()
    radius = max(1, int(np.ceil(3.0 * sigma_px)))
    kernel = np.exp(-0.5 * np.arange(radius + 1) ** 2 / sigma_px**2)
    kernel = (kernel / (kernel[0] + 2.0 * kernel[1:].sum())).astype(np.float32)
    height, width = image.shape
    padded = np.pad(image, ((0, 0), (radius, radius)), mode="edge")
    across = _symmetric_sum([padded[:, k : k + width] for k in range(2 * radius + 1)], kernel)
    padded = np.pad(across, ((radius, radius), (0, 0)), mode="edge")
    return _symmetric_sum([padded[k : k + height] for k in range(2 * radius + 1)], kernel)


def _symmetric_sum(shifted: list[F32], kernel: F32) -> F32:
    radius = len(kernel) - 1
    total = kernel[0] * shifted[radius]
    pair = np.empty_like(total)
    for k in range(1, radius + 1):
        np.add(shifted[radius - k], shifted[radius + k], out=pair)
        pair *= kernel[k]
        total += pair
    return total


def make_edge_image(smooth: F32, patch: Patch) -> EdgeImage:
    """Central differences; half of them at the borders."""
    du, dv = np.empty_like(smooth), np.empty_like(smooth)
    np.subtract(smooth[:, 2:], smooth[:, :-2], out=du[:, 1:-1])
    du[:, 0] = smooth[:, min(1, smooth.shape[1] - 1)] - smooth[:, 0]
    du[:, -1] = smooth[:, -1] - smooth[:, max(smooth.shape[1] - 2, 0)]
    np.subtract(smooth[2:], smooth[:-2], out=dv[1:-1])
    dv[0] = smooth[min(1, len(smooth) - 1)] - smooth[0]
    dv[-1] = smooth[-1] - smooth[max(len(smooth) - 2, 0)]
    du *= np.float32(0.5)
    dv *= np.float32(0.5)
    return EdgeImage(patch, du, dv, gradient_noise(du))


def gradient_noise(du: F32) -> float:
    """Robust sd over a grid of pixels: most of a radiograph is not edge."""
    step = max(1, min(du.shape) // NOISE_GRID)
    sample = np.abs(du[1:-1:step, 1:-1:step])
    return 1.4826 * upper_median(sample[sample > 0.0])


def upper_median(values: NDArray[np.floating]) -> float:
    """The middle value, the upper one of two; 0 of none."""
    if values.size == 0:
        return 0.0
    return float(np.partition(values, values.size // 2, axis=None)[values.size // 2])


def search_boundary(
    image: EdgeImage,
    px: F64,
    normal: F64,
    *,
    half_width_px: float,
    step_px: float,
    cap: float,
    share_left: Callable[[F64, F64], F64] | None = None,
) -> tuple[F32, F32]:
    """Find the falling edge nearest to each of n points (n, 2) along its normal (n, 2).

    Score at offset q: min(d, cap) * d^2 / |gradient|^2 * exp(-q^2 / 2 tau^2), tau = half the half
    width, d the fall along the normal; cap = 0 caps nothing. `share_left` of pixels and normals is
    the part of an edge that counts.

    Returns
    -------
    offset_px, strength
        (n,) each: sub-pixel offset and fall at the edge; 0 where there is none.
    """
    half = int(np.clip(int(half_width_px / step_px + 0.5), 2, MAX_STEPS // 2))
    steps = np.arange(-half, half + 1, dtype=np.float32)
    q = np.float32(step_px) * steps
    n = normal.astype(np.float32)
    p = px.astype(np.float32)
    gu, gv = _sample(image, p[:, :1] + q * n[:, :1], p[:, 1:] + q * n[:, 1:])
    fall = -(gu * n[:, :1] + gv * n[:, 1:])
    aligned = fall * fall / (gu * gu + gv * gv + np.float32(1e-20))
    near = np.exp(-0.5 / (0.5 * half) ** 2 * steps**2)
    score = (np.minimum(fall, np.float32(cap)) if cap > 0.0 else fall) * aligned * near
    if share_left is not None:
        along = n[:, None].repeat(q.size, axis=1)
        score = score * share_left(p[:, None] + q[:, None] * along, along)

    best = np.argmax(score[:, 1:-1], axis=1) + 1
    rows = np.arange(len(best))
    found = score[rows, best] > 0.0
    offset = np.float32(step_px) * (_steepest(fall, best) - np.float32(half))
    zero = np.float32(0.0)
    return np.where(found, offset, zero), np.where(found, fall[rows, best], zero)


def _steepest(fall: F32, sample: NDArray[np.intp]) -> F32:
    """The steepest place uphill of one sample per row, in steps.

    The window draws the best score towards its middle; the edge itself is where the fall is
    greatest. Neighbours two steps away see past the kinks of bilinear samples.
    """
    rows, num = np.arange(len(sample)), fall.shape[1]
    for step, end in ((1, num - 1), (-1, 0)):
        while True:
            next_to = np.where(sample == end, sample, sample + step)
            uphill = fall[rows, next_to] > fall[rows, sample]
            if not uphill.any():
                break
            sample = np.where(uphill, next_to, sample)
    middle = (sample >= 2) & (sample + 2 < num)
    around = np.clip(sample, 2, num - 3)
    vertex = _parabola_vertex(*(fall[rows, around + k] for k in (-2, 0, 2)))
    return sample + np.where(middle, np.float32(2.0) * vertex, np.float32(0.0))


def _sample(image: EdgeImage, u: F32, v: F32) -> tuple[F32, F32]:
    """Both gradients, bilinear; 0 outside the image."""
    height, width = image.du.shape
    inside = (u >= 0.0) & (v >= 0.0) & (u < width - 1) & (v < height - 1)
    u, v = np.where(inside, u, np.float32(0.0)), np.where(inside, v, np.float32(0.0))
    i, j = u.astype(np.int32), v.astype(np.int32)
    a, b = u - i.astype(np.float32), v - j.astype(np.float32)
    at = j * width + i
    one = np.float32(1.0)
    weights = ((one - a) * (one - b), a * (one - b), (one - a) * b, a * b)
    corners = (at, at + 1, at + width, at + width + 1)
    result = []
    for gradient in (image.du.ravel(), image.dv.ravel()):
        value = weights[0] * gradient.take(corners[0], mode="clip")
        for weight, corner in zip(weights[1:], corners[1:], strict=True):
            value += weight * gradient.take(corner, mode="clip")
        value *= inside
        result.append(value)
    return result[0], result[1]


def _parabola_vertex(left: F32, middle: F32, right: F32) -> F32:
    """Vertex of the parabola through three neighbours, within one step."""
    curvature = left - 2.0 * middle + right
    safe = np.where(curvature < 0.0, curvature, np.float32(-1.0))
    vertex = np.clip(np.float32(0.5) * (left - right) / safe, -1.0, 1.0)
    return np.where(curvature < 0.0, vertex, np.float32(0.0)).astype(np.float32)
