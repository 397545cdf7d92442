"""How much of a bone's true outline an image shows as edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from osteoform import XrayView, _core
from osteoform._fit_bones import POLARITIES
from osteoform._types import F64
from shown import px_per_mm

NUM_POINTS = 400
PIXEL_MM = 0.3  # at the bone, after grouping
SMOOTHING_PX = 1.2
OVER_NOISE = 3.0  # standard deviations of the gradient that make an edge
WINDOW_MM = 5.0  # an edge is looked for this far off, as a fit does
NEAR_MM = 1.2  # and is the outline's this near


def outline_shown(
    view: XrayView, in_field: NDArray[np.bool_], vertices: F64, faces: NDArray[np.int32]
) -> float:
    """Share of the outline of world vertices (N, 3) [mm] whose strongest edge is its own.

    Counted where the collimator is open, `in_field` (rows, columns); 0 where none of it is.
    """
    px, normals = _outline(view, in_field, vertices, faces)
    if not len(px):
        return 0.0
    per_mm = px_per_mm(view, vertices.mean(axis=0))
    factor = max(1, round(PIXEL_MM * per_mm))
    attenuation = _core.image_attenuation(
        view.pixels, factor=factor, polarity=POLARITIES[view.polarity or "dark_is_dense"]
    )
    smooth = _core.gaussian_blur(attenuation, sigma_px=SMOOTHING_PX)
    _, noise = _core.image_gradient(smooth)
    offset_px, strength, _ = _core.search_boundary(
        smooth,
        ((px + 0.5) / factor - 0.5).astype(np.float32),
        normals,
        half_width_px=WINDOW_MM * per_mm / factor,
    )
    near = np.abs(offset_px) * factor <= NEAR_MM * per_mm
    return float((near & (strength > OVER_NOISE * noise)).mean())


def _outline(
    view: XrayView, in_field: NDArray[np.bool_], vertices: F64, faces: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels (n, 2) of the rims that the image shows, and their normals (n, 2)."""
    _, _, px, normals = _core.silhouette(
        view.geometry, vertices.astype(np.float32), faces, max_points=NUM_POINTS
    )
    rows, columns = in_field.shape
    column, row = np.rint(px).astype(int).T
    inside = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    inside[inside] = in_field[row[inside], column[inside]]
    return px[inside], normals[inside]
