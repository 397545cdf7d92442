"""The smooth silhouette of a mesh: outer and inner rims, one point per edge that turns away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.views import View

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

CHORD_OVER_EDGE = np.pi * np.sqrt(3.0) / 12.0  # mean chord of an equilateral triangle of edge 1


@dataclass(frozen=True)
class Silhouette:
    """n points at (1 - alpha) x_i + alpha x_j, with pixel and outward unit normal in the image.

    rim_mm is about the length of rim that each stands for.
    """

    edges: I32
    alpha: F64
    px: F64
    normal: F64
    rim_mm: F64

    def __len__(self) -> int:
        return len(self.alpha)


def extract_silhouette(
    view: View, vertices: F32, normals: F32, edges: I32, max_points: int
) -> Silhouette:
    """Points where the interpolated n . ray vanishes (Hertzmann and Zorin 2000).

    `view` has the frame of the vertices as its world. Where there are more than `max_points`, every
    (count / max_points)-th is taken.
    """
    facing = np.einsum("ij,ij->i", normals, view.rays(vertices.astype(np.float64)))
    away = facing < 0.0
    turning = np.flatnonzero(away[edges[:, 0]] != away[edges[:, 1]])
    num_taken = min(len(turning), max_points)
    taken = edges[turning[np.arange(num_taken) * len(turning) // max(num_taken, 1)]]
    start, end = facing[taken[:, 0]], facing[taken[:, 1]]
    alpha = start / (start - end)

    x = between(vertices, taken, alpha)
    n = between(normals, taken, alpha)
    J = view.jacobian(x)
    # Normal of the projected tangent plane: (J J^T)^-1 J n, by the inverse of a 2 x 2 matrix.
    G = J @ J.swapaxes(1, 2)
    p = np.einsum("nij,nj->ni", J, n)
    direction = np.column_stack(
        [
            G[:, 1, 1] * p[:, 0] - G[:, 0, 1] * p[:, 1],
            G[:, 0, 0] * p[:, 1] - G[:, 0, 1] * p[:, 0],
        ]
    )
    length = np.linalg.norm(direction, axis=1)
    good = view.sees(x) & (length > 0.0)
    px = view.project(x)[good]
    normal = direction[good] / length[good, None]
    edge_mm = np.linalg.norm(vertices[taken[good, 0]] - vertices[taken[good, 1]], axis=1)
    rim_mm = CHORD_OVER_EDGE * len(turning) / max(num_taken, 1) * edge_mm
    return Silhouette(taken[good], alpha[good], px, normal, rim_mm)


def between(values: NDArray[np.floating], edges: I32, alpha: F64) -> F64:
    """Values (N, ...) interpolated on edges (n, 2)."""
    share = alpha.reshape(-1, *([1] * (values.ndim - 1)))
    return (1.0 - share) * values[edges[:, 0]] + share * values[edges[:, 1]]
