"""Shape model: instance, features, mesh edges and normals."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """x(b) = mean + sum_k b_k modes_k; arrays as in the package's model files, of one side."""

    mean: F32
    faces: I32
    modes: F32
    inadequacy_mm: F32
    point_mean: F64
    point_modes: F64
    ellipsoid_mean: F64
    ellipsoid_modes: F64
    ellipsoid_shape: F64
    ellipsoid_scale_modes: F64

    @property
    def num_modes(self) -> int:
        return len(self.modes)

    @cached_property
    def edges(self) -> I32:
        return unique_edges(self.faces)

    @cached_property
    def vertex_modes(self) -> F32:
        """(N, 3, K): all that moves one vertex lies together."""
        return np.ascontiguousarray(np.moveaxis(self.modes, 0, -1))

    def instance(self, b: F64) -> F32:
        """Vertices (N, 3) [mm] in the bone frame."""
        rows = self.vertex_modes.reshape(3 * len(self.mean), self.num_modes)
        return self.mean + (rows @ b.astype(np.float32)).reshape(-1, 3)

    def points(self, b: F64) -> F64:
        """Feature points (F, 3)."""
        return self.point_mean + np.tensordot(b, self.point_modes, axes=1)

    def ellipsoids(self, b: F64) -> tuple[F64, F64]:
        """Centres (E, 3) and matrices of squared semi-axes (E, 3, 3)."""
        centers = self.ellipsoid_mean + np.tensordot(b, self.ellipsoid_modes, axes=1)
        scale = np.exp(2.0 * (b @ self.ellipsoid_scale_modes))
        return centers, scale[:, None, None] * self.ellipsoid_shape


def unique_edges(faces: I32) -> I32:
    """Each edge (E, 2) once, smaller vertex first, in lexicographic order."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def vertex_normals(vertices: F32, faces: I32) -> F32:
    """Unit normals (N, 3), area-weighted, outward for outward faces."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    e, g = b - a, c - a
    area = [  # np.cross, without its overhead
        e[:, 1] * g[:, 2] - e[:, 2] * g[:, 1],
        e[:, 2] * g[:, 0] - e[:, 0] * g[:, 2],
        e[:, 0] * g[:, 1] - e[:, 1] * g[:, 0],
    ]
    corners = faces.T.ravel()
    sums = [np.bincount(corners, np.tile(x, 3), minlength=len(vertices)) for x in area]
    normals = np.stack(sums, axis=1)
    return (normals / np.sqrt(np.sum(normals**2, axis=1, keepdims=True) + 1e-30)).astype(np.float32)
