"""One closed surface and the questions that finding anatomical points asks of it.

Every point found is a row of vertex weights (N,) that sum to one, so that it can be evaluated on
any mesh in correspondence and is linear in the vertices.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from osteoform._errors import InputError

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
Mask = NDArray[np.bool_]


def face_normals(vertices: F64, faces: I32) -> F64:
    """Outward normals (M, 3) with the length of twice the triangle's area [mm^2]."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.cross(b - a, c - a), dtype=np.float64)


def triangle_quality(vertices: F64, faces: I32) -> F64:
    """4 sqrt(3) area / sum of squared sides (M,): 1 equilateral, 0 degenerate."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    squares = ((b - a) ** 2).sum(1) + ((c - b) ** 2).sum(1) + ((a - c) ** 2).sum(1)
    return np.asarray(4 * np.sqrt(3) * area / np.maximum(squares, 1e-12))


def vertex_normals(vertices: F64, faces: I32) -> F64:
    """Unit outward normals (N, 3), weighted by the areas of the triangles around a vertex."""
    normals = _gather(face_normals(vertices, faces), faces, len(vertices))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(length > 0.0, length, 1.0)


def vertex_areas(vertices: F64, faces: I32) -> F64:
    """Area (N,) [mm^2] of a third of the triangles around each vertex."""
    areas = np.linalg.norm(face_normals(vertices, faces), axis=1) / 6.0
    return _gather(areas[:, None], faces, len(vertices))[:, 0]


def signed_volume(vertices: F64, faces: I32) -> float:
    """Volume [mm^3] inside a closed mesh; negative when it is wound inward."""
    centered = vertices - vertices.mean(axis=0)
    a, b, c = (centered[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)


def _gather(per_face: F64, faces: I32, num_vertices: int) -> F64:
    columns = [
        sum(
            np.bincount(faces[:, k], weights=per_face[:, c], minlength=num_vertices)
            for k in range(3)
        )
        for c in range(per_face.shape[1])
    ]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A closed triangle mesh, z up, with its normals (N, 3) and vertex areas (N,) [mm^2]."""

    vertices: F64 = field(repr=False)
    faces: I32 = field(repr=False)
    normals: F64 = field(repr=False)
    areas: F64 = field(repr=False)

    @staticmethod
    def of(vertices: ArrayLike, faces: ArrayLike) -> Surface:
        """Check and measure a mesh: vertices (N, 3) [mm], faces (M, 3) wound outward."""
        v, f = check_mesh(vertices, faces)
        return Surface(vertices=v, faces=f, normals=vertex_normals(v, f), areas=vertex_areas(v, f))

    @property
    def low_mm(self) -> float:
        """Height of the lowest vertex."""
        return float(self.vertices[:, 2].min())

    @property
    def high_mm(self) -> float:
        """Height of the highest vertex."""
        return float(self.vertices[:, 2].max())

    @property
    def length_mm(self) -> float:
        """Extent along z."""
        return self.high_mm - self.low_mm

    def above(self, fraction: float) -> Mask:
        """Vertices above a fraction of the length, counted from the lowest."""
        return np.asarray(self.vertices[:, 2] > self.low_mm + fraction * self.length_mm)

    def below(self, fraction: float) -> Mask:
        """Vertices below a fraction of the length, counted from the lowest."""
        return ~self.above(fraction)

    def at(self, weights: F64) -> F64:
        """The point (3,) with these vertex weights."""
        return np.asarray(weights @ self.vertices, dtype=np.float64)

    def patch(self, mask: Mask, what: str) -> F64:
        """Weights of the centroid of a part of the surface."""
        weights = np.where(mask, self.areas, 0.0)
        if not weights.sum() > 0.0:
            raise InputError(f"no {what} found: is the bone right-sided, whole and z-up?")
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def tip(
        self,
        direction: ArrayLike,
        mask: Mask,
        what: str,
        *,
        depth_mm: float = 1.0,
        radius_mm: float = 8.0,
    ) -> F64:
        """Weights of the part of a masked region that reaches furthest along a direction.

        Vertices within `radius_mm` of the furthest count with exp(-depth / depth_mm), so that the
        answer hangs on the surface and not on the place of single vertices.
        """
        unit = np.asarray(direction, dtype=np.float64)
        reach = self.vertices @ (unit / np.linalg.norm(unit))
        return self.peak(reach, mask, what, depth_mm=depth_mm, radius_mm=radius_mm)

    def peak(
        self, height_mm: F64, mask: Mask, what: str, *, depth_mm: float, radius_mm: float
    ) -> F64:
        """Weights of the place where a height (N,) [mm] over the surface is greatest."""
        if not mask.any():
            raise InputError(f"no {what} found: is the bone right-sided, whole and z-up?")
        top = int(np.flatnonzero(mask)[np.argmax(height_mm[mask])])
        near = mask & (np.linalg.norm(self.vertices - self.vertices[top], axis=1) < radius_mm)
        fall = np.exp((height_mm - height_mm[top]) / depth_mm)
        weights = np.where(near, self.areas * np.where(near, fall, 0.0), 0.0)
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def first_hit(self, origin: F64, direction: ArrayLike, what: str) -> F64:
        """Weights of the point where a ray first meets the surface."""
        return self._hit(origin, direction, what, last=False)

    def last_hit(self, origin: F64, direction: ArrayLike, what: str) -> F64:
        """Weights of the point where a ray leaves the surface for good."""
        return self._hit(origin, direction, what, last=True)

    def _hit(self, origin: F64, direction: ArrayLike, what: str, *, last: bool) -> F64:
        unit = np.asarray(direction, dtype=np.float64)
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        p = np.cross(unit, c - a)
        det = np.einsum("ij,ij->i", b - a, p)
        safe = np.where(np.abs(det) > 1e-12, det, np.inf)
        offset = origin - a
        u = np.einsum("ij,ij->i", offset, p) / safe
        q = np.cross(offset, b - a)
        v = q @ unit / safe
        t = np.einsum("ij,ij->i", c - a, q) / safe
        hit = np.isfinite(safe) & (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t > 0.0)
        if not hit.any():
            raise InputError(f"no {what} found: is the bone right-sided, whole and z-up?")
        ids = np.flatnonzero(hit)
        face = ids[np.argmax(t[ids]) if last else np.argmin(t[ids])]
        weights = np.zeros(len(self.vertices))
        weights[self.faces[face]] = 1.0 - u[face] - v[face], u[face], v[face]
        return weights


def check_mesh(vertices: ArrayLike, faces: ArrayLike) -> tuple[F64, I32]:
    """Vertices (N, 3) float64 and faces (M, 3) int32, or an InputError that says what is wrong."""
    v = np.ascontiguousarray(vertices, dtype=np.float64)
    f = np.asarray(faces)
    if v.ndim != 2 or v.shape[1] != 3 or len(v) < 4:
        raise InputError(f"vertices must have the shape (N, 3), N >= 4, got {v.shape}")
    if not np.isfinite(v).all():
        raise InputError("vertices must be finite")
    if f.ndim != 2 or f.shape[1] != 3 or len(f) < 4 or f.dtype.kind not in "iu":
        raise InputError(
            f"faces must be integers of the shape (M, 3), M >= 4, got {f.shape} {f.dtype}"
        )
    if f.min() < 0 or f.max() >= len(v):
        raise InputError(
            f"faces must name vertices 0..{len(v) - 1}, got {int(f.min())}..{int(f.max())}"
        )
    return v, np.ascontiguousarray(f, dtype=np.int32)
