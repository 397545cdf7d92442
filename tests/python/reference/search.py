"""The image around the bone at two scales, and what the silhouette finds in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference import options as fixed
from reference.image import (
    HALVING_SIGMA_PX,
    MAX_STEPS,
    EdgeImage,
    attenuation,
    gaussian_blur,
    halved,
    make_edge_image,
    patch_around,
    search_boundary,
    upper_median,
)
from reference.options import Options
from reference.rows import BoundaryObservations
from reference.shape import Model
from reference.silhouette import Silhouette, between
from reference.views import View

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A smoothed image; px_per_mm and sigma_px are in its own pixels."""

    image: EdgeImage
    px_per_mm: float
    sigma_px: float


@dataclass(frozen=True, kw_only=True)
class Scales:
    """One view around the bone; px_per_mm is the source's."""

    fine: Scale
    coarse: Scale
    px_per_mm: float

    def of(self, half_width_mm: float) -> Scale:
        """The scale for a search."""
        return self.coarse if half_width_mm > fixed.COARSE_ABOVE_MM else self.fine


def prepare_scales(
    pixels: F32, view: View, vertices: F32, options: Options, *, bright_is_dense: bool = False
) -> Scales | None:
    """Cut out what the bone can reach and smooth it twice; None where it is not in the image."""
    points = vertices[:: fixed.VERTEX_STEP].astype(np.float64)
    points = points[view.sees(points)]
    if len(points) == 0:
        return None
    px = view.project(points)
    px_per_mm = view.px_per_mm(np.zeros(3))
    factor = int(np.clip(np.floor(px_per_mm * fixed.PIXEL_AT_BONE_MM + 0.5), 1, 64))
    margin_px = (fixed.MARGIN_MM + options.search_start_mm) * px_per_mm
    patch = patch_around(
        pixels.shape[::-1], factor, px.min(axis=0) - margin_px, px.max(axis=0) + margin_px
    )
    if patch.width == 0:
        return None
    low, high = float(pixels.min()), float(pixels.max())
    dense = attenuation(pixels, patch, low, high, bright_is_dense=bright_is_dense)
    per_mm = px_per_mm / factor
    sigma = options.smoothing_mm * per_mm
    smooth = gaussian_blur(dense, sigma)
    fine = Scale(image=make_edge_image(smooth, patch), px_per_mm=per_mm, sigma_px=sigma)

    per_mm *= 0.5
    smoothed = float(np.hypot(0.5 * sigma, HALVING_SIGMA_PX))
    sigma = max(options.coarse_smoothing_mm * per_mm, smoothed)
    means, half = halved(smooth, patch)
    smooth = gaussian_blur(means, float(np.sqrt(sigma**2 - smoothed**2)))
    coarse = Scale(image=make_edge_image(smooth, half), px_per_mm=per_mm, sigma_px=sigma)
    return Scales(fine=fine, coarse=coarse, px_per_mm=px_per_mm)


def edge_bias_px(scale: Scale, options: Options) -> float:
    """How far blur moves the steepest fall inward of a convex rim."""
    blur_px = options.image_blur_mm * scale.px_per_mm
    return fixed.ROOT_EDGE_BIAS * float(np.hypot(scale.sigma_px, blur_px))


def search_view(
    model: Model,
    b: F64,
    scales: Scales,
    rim: Silhouette,
    half_width_mm: float,
    cap: float,
    options: Options,
) -> tuple[BoundaryObservations, float]:
    """Boundary points of one view, and the next search's cap on gradients."""
    scale = scales.of(half_width_mm)
    image = scale.image
    offset, strength, _ = _find_edges(scale, rim, half_width_mm, cap)

    median = upper_median(strength[strength > 0.0])
    bias = edge_bias_px(scale, options)
    keep = (strength > 0.0) & (strength >= fixed.EDGE_OVER_NOISE * 0.5 * image.noise)
    s2 = strength[keep].astype(np.float64) ** 2
    trust = s2 / (s2 + (fixed.TRUST_AT_MEDIAN * median) ** 2)
    shift = image.patch.factor * (offset[keep] + trust * bias)
    edges, alpha = rim.edges[keep], rim.alpha[keep]
    together_mm = min(options.boundary_correlation_mm, rim.rim_mm.sum() / fixed.LEAST_INDEPENDENT)
    seen = BoundaryObservations(
        mean=between(model.mean, edges, alpha),
        modes=_between_modes(model.vertex_modes, edges, alpha),
        found_px=rim.px[keep] + shift[:, None] * rim.normal[keep],
        normal=rim.normal[keep],
        weight=trust * np.minimum(1.0, rim.rim_mm[keep] / together_mm),
        px_per_mm=scales.px_per_mm,
    )
    return seen, fixed.CAP_OVER_MEDIAN * median


def _between_modes(modes: F32, edges: NDArray[np.int32], alpha: F64) -> F32:
    """`between` for (N, 3, K), without leaving float32."""
    start = modes[edges[:, 0]]
    step = modes[edges[:, 1]]
    step -= start
    step *= alpha.astype(np.float32)[:, None, None]
    step += start
    return step


def report_view(scales: Scales, rim: Silhouette, options: Options) -> tuple[F64, NDArray[np.bool_]]:
    """Offset [mm] of the edge within 5 mm of each silhouette point, NaN for none; which are in
    the image."""
    scale = scales.fine
    offset, strength, inside = _find_edges(scale, rim, fixed.REPORT_WINDOW_MM, 0.0)
    bias = edge_bias_px(scale, options)
    found = inside & (strength > fixed.EDGE_OVER_NOISE * scale.image.noise)
    return np.where(found, (offset + bias) / scale.px_per_mm, np.nan), inside


def _find_edges(
    scale: Scale, rim: Silhouette, half_width_mm: float, cap: float
) -> tuple[F32, F32, NDArray[np.bool_]]:
    patch = scale.image.patch
    px = patch.from_source(rim.px)
    inside = np.all((px >= 1.0) & (px < [patch.width - 2, patch.height - 2]), axis=1)
    half_width_px = half_width_mm * scale.px_per_mm
    offset, strength = np.zeros(len(rim), np.float32), np.zeros(len(rim), np.float32)
    offset[inside], strength[inside] = search_boundary(
        scale.image,
        px[inside],
        rim.normal[inside],
        half_width_px=half_width_px,
        step_px=max(fixed.STEP_PX, 2.0 * half_width_px / MAX_STEPS),
        cap=cap,
    )
    return offset, strength, inside
