"""Distance from points to triangles, one triangle at a time. Imports nothing of ours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]


def distances(points: ArrayLike, vertices: ArrayLike, faces: ArrayLike) -> F64:
    """(N,) distance of each point (N, 3) to the nearest of the triangles."""
    p, x = np.asarray(points, float), np.asarray(vertices, float)
    best = np.full(len(p), np.inf)
    for face in np.asarray(faces):
        best = np.minimum(best, to_triangle(p, *x[face]))
    return best


def to_triangle(p: F64, a: F64, b: F64, c: F64) -> F64:
    """Distance to the plane where the foot lies inside, else to the nearest edge."""
    to_edges = np.min([to_segment(p, a, b), to_segment(p, b, c), to_segment(p, c, a)], axis=0)
    normal = np.cross(b - a, c - a)
    if np.linalg.norm(normal) < 1e-12:
        return to_edges
    normal /= np.linalg.norm(normal)
    height = (p - a) @ normal
    foot = p - height[:, None] * normal
    inside = np.all(
        [
            np.cross(end - start, foot - start) @ normal >= 0.0
            for start, end in ((a, b), (b, c), (c, a))
        ],
        axis=0,
    )
    return np.where(inside, np.abs(height), to_edges)


def to_segment(p: F64, a: F64, b: F64) -> F64:
    length2 = (b - a) @ (b - a)
    along = np.clip((p - a) @ (b - a) / length2, 0.0, 1.0) if length2 > 0.0 else np.zeros(len(p))
    return np.linalg.norm(p - a - along[:, None] * (b - a), axis=1)
