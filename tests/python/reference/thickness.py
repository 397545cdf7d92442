"""Ray length inside a closed mesh, by intersecting every ray with every triangle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.views import Cone, Slot

F64 = NDArray[np.float64]


def thickness(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    view: Cone | Slot,
    width: int,
    height: int,
) -> F64:
    """(height, width) [mm]: the sum over triangles of the distance where the ray leaves, minus the
    distance where it enters (Moeller and Trumbore 1997)."""
    v, u = np.mgrid[:height, :width]
    px = np.column_stack([u.ravel(), v.ravel()]).astype(np.float64)
    origin, direction = view.rays_through(px)
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    total = np.zeros(len(px))
    for start, e, g in zip(a, b - a, c - a, strict=True):
        p = np.cross(direction, g)
        det = p @ e
        s = origin - start
        q = np.cross(s, e)
        with np.errstate(divide="ignore", invalid="ignore"):
            first = np.einsum("ij,ij->i", s, p) / det
            second = np.einsum("ij,ij->i", q, direction) / det
            distance = q @ g / det
        hit = (det != 0.0) & (first >= 0.0) & (second >= 0.0) & (first + second <= 1.0)
        hit &= distance > 0.0
        # det > 0: the ray runs against the outward normal, so it enters.
        total[hit] -= np.sign(det[hit]) * distance[hit]
    return total.reshape(height, width)
