"""Distances between surfaces: what every error in millimetres is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._core import closest_points
from osteoform._types import F64, Mesh

# Reciprocals of the plastic number and its square: the R2 low-discrepancy sequence
# (M. Roberts, 2018), which covers every triangle evenly without a random number.
_R2 = (0.7548776662466927, 0.5698402909980532)


@dataclass(frozen=True, kw_only=True)
class DistanceSummary:
    """Unsigned distances of a surface, weighted by its area [mm]."""

    mean_mm: float
    rms_mm: float
    p95_mm: float
    max_mm: float

    @staticmethod
    def of(distances_mm: F64) -> DistanceSummary:
        """Summarise distances of points spread evenly over a surface."""
        return DistanceSummary(
            mean_mm=float(np.mean(distances_mm)),
            rms_mm=float(np.sqrt(np.mean(np.square(distances_mm)))),
            p95_mm=float(np.percentile(distances_mm, 95.0)),
            max_mm=float(np.max(distances_mm)),
        )


def distances_to_surface(points: NDArray[Any], surface: Mesh) -> F64:
    """Distance (N,) [mm] of each point (N, 3) to the nearest point of a triangle surface."""
    _, distances_mm, _ = closest_points(
        points=np.asarray(points, np.float64), vertices=surface.vertices, faces=surface.faces
    )
    return np.asarray(distances_mm)


def sample_surface(mesh: Mesh, num_points: int) -> F64:
    """Spread points (num_points, 3) over a surface, as many per mm² everywhere; always the same.

    Vertices are no fair sample: real meshes are finer where the bone is curved.
    """
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(np.float64) for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    cumulative = np.cumsum(area)
    index = np.arange(num_points)
    at = (index + 0.5) / num_points * cumulative[-1]
    face = np.minimum(np.searchsorted(cumulative, at), len(area) - 1)
    u, v = (np.mod(0.5 + index * step, 1.0)[:, None] for step in _R2)
    outside = u + v > 1.0
    u, v = np.where(outside, 1.0 - u, u), np.where(outside, 1.0 - v, v)
    return np.asarray(a[face] + u * (b - a)[face] + v * (c - a)[face])


def surface_distance(truth: Mesh, surface: Mesh, *, num_points: int = 20_000) -> DistanceSummary:
    """Distance from the true surface to another one, in the frame both are given in [mm]."""
    return DistanceSummary.of(distances_to_surface(sample_surface(truth, num_points), surface))
