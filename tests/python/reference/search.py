"""The image around the bone at two scales, and what the silhouette finds in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference import options as fixed
from reference.image import (
    MAX_STEPS,
    EdgeImage,
    attenuation,
    gaussian_blur,
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
class Scales:
    """One view's patch; sigmas are in its pixels, px_per_mm in the source's."""

    fine: EdgeImage
    coarse: EdgeImage
    px_per_mm: float
    fine_sigma_px: float
    coarse_sigma_px: float

    @property
    def patch_px_per_mm(self) -> float:
        return self.px_per_mm / self.fine.patch.factor


def prepare_scales(
    pixels: F32, view: View, vertices: F32, options: Options, *, bright_is_dense: bool = False
) -> Scales | None:
    """Cut out what the bone can reach and smooth it twice; None where it is not in the image."""
    points = vertices.astype(np.float64)
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
    fine_sigma = options.smoothing_mm * px_per_mm / factor
    coarse_sigma = max(options.coarse_smoothing_mm * px_per_mm / factor, fine_sigma)
    low, high = float(pixels.min()), float(pixels.max())
    dense = attenuation(pixels, patch, low, high, bright_is_dense=bright_is_dense)
    fine = gaussian_blur(dense, fine_sigma)
    coarse = gaussian_blur(fine, float(np.sqrt(coarse_sigma**2 - fine_sigma**2)))
    return Scales(
        fine=make_edge_image(fine, patch),
        coarse=make_edge_image(coarse, patch),
        px_per_mm=px_per_mm,
        fine_sigma_px=fine_sigma,
        coarse_sigma_px=coarse_sigma,
    )


def edge_bias_px(sigma_px: float, options: Options, px_per_mm: float) -> float:
    """How far blur moves the steepest fall inward of a convex rim."""
    return fixed.ROOT_EDGE_BIAS * float(np.hypot(sigma_px, options.image_blur_mm * px_per_mm))


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
    coarse = half_width_mm > fixed.COARSE_ABOVE_MM
    image = scales.coarse if coarse else scales.fine
    offset, strength, _ = _find_edges(scales, image, rim, half_width_mm, cap)

    median = upper_median(strength[strength > 0.0])
    sigma = scales.coarse_sigma_px if coarse else scales.fine_sigma_px
    bias = edge_bias_px(sigma, options, scales.patch_px_per_mm)
    keep = (strength > 0.0) & (strength >= fixed.EDGE_OVER_NOISE * 0.5 * image.noise)
    s2 = strength[keep].astype(np.float64) ** 2
    trust = s2 / (s2 + (fixed.TRUST_AT_MEDIAN * median) ** 2)
    shift = image.patch.factor * (offset[keep] + trust * bias)
    edges, alpha = rim.edges[keep], rim.alpha[keep]
    seen = BoundaryObservations(
        mean=between(model.mean, edges, alpha),
        modes=_between_modes(model.vertex_modes, edges, alpha),
        found_px=rim.px[keep] + shift[:, None] * rim.normal[keep],
        normal=rim.normal[keep],
        weight=trust * (options.points_per_view / max(1, len(rim))),
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
    image = scales.fine
    offset, strength, inside = _find_edges(scales, image, rim, fixed.REPORT_WINDOW_MM, 0.0)
    bias = edge_bias_px(scales.fine_sigma_px, options, scales.patch_px_per_mm)
    found = inside & (strength > fixed.EDGE_OVER_NOISE * image.noise)
    return np.where(found, (offset + bias) / scales.patch_px_per_mm, np.nan), inside


def _find_edges(
    scales: Scales, image: EdgeImage, rim: Silhouette, half_width_mm: float, cap: float
) -> tuple[F32, F32, NDArray[np.bool_]]:
    patch = image.patch
    px = patch.from_source(rim.px)
    inside = np.all((px >= 1.0) & (px < [patch.width - 2, patch.height - 2]), axis=1)
    half_width_px = half_width_mm * scales.patch_px_per_mm
    offset, strength = np.zeros(len(rim), np.float32), np.zeros(len(rim), np.float32)
    offset[inside], strength[inside] = search_boundary(
        image,
        px[inside],
        rim.normal[inside],
        half_width_px=half_width_px,
        step_px=max(fixed.STEP_PX, 2.0 * half_width_px / MAX_STEPS),
        cap=cap,
    )
    return offset, strength, inside
