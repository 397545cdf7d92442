"""Edges that belong to other bodies."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def share_left(
    px: F64, normal: F64, rims: F64, size: tuple[int, int], *, certain_px: float, reach_px: float
) -> F64:
    """What foreign rims (m, 4) leave of edges at (..., 2) that fall along normals (..., 2).

    The rim that counts is the one nearest to the pixel, of an image of `size` (rows, columns), in
    which the edge lies. It claims the squared cosine between the normals, if that is positive: all
    of it up to `certain_px` away, nothing from `reach_px` on.
    """
    pixel = np.trunc(px.astype(np.float32) + np.float32(0.5)).astype(np.float64)
    inside = (px > -0.5).all(-1) & (pixel[..., 0] < size[1]) & (pixel[..., 1] < size[0])
    distance = np.linalg.norm(pixel[..., None, :] - rims[:, :2], axis=-1)
    nearest = distance.argmin(-1)
    away = np.take_along_axis(distance, nearest[..., None], -1)[..., 0]
    sure = np.clip((reach_px - away) / max(reach_px - certain_px, 1e-6), 0.0, 1.0)
    along = sure * (rims[nearest, 2:] * normal).sum(-1)
    return np.where(inside & (along > 0.0), 1.0 - along**2, 1.0)
