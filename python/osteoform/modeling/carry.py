"""A surface that follows scattered points: from a model's points to a mesh's vertices.

Displacements are interpolated by the biharmonic spline of three dimensions, phi(r) = r with an
affine part (R. L. Harder and R. N. Desmarais, 1972, in the plane; J. Duchon, 1977). Every motion
and every change of size is carried exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._errors import InputError
from osteoform._placement import umeyama
from osteoform._shape_model import ShapeModel
from osteoform._types import F64, I32, Mesh

_FIT_STEPS = 20
_FIT_NOISE_MM = (3.0, 1.0)
_SPARE_MM = 0.05


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """A mesh whose vertices are weighted sums of points.

    Attributes
    ----------
    weights
        (N, P); every row sums to 1.
    faces
        (M, 3), wound as the mesh that was carried.
    """

    weights: F64 = field(repr=False)
    faces: I32 = field(repr=False)

    def apply(self, points: F64) -> F64:
        """Vertices (..., N, 3) of points, or of displacements of points, (..., P, 3)."""
        return np.asarray(self.weights @ points)


def carrier_of_mesh(points: F64, mesh: Mesh) -> Carrier:
    """The carrier of a mesh that passes through points (P, 3) [mm].

    Raises
    ------
    InputError
        There are too few points, or they lie in a plane.
    """
    on_mesh, _, _ = _tree(mesh).find(points)
    weights = spline_weights(on_mesh, mesh.vertices.astype(np.float64))
    return Carrier(weights=weights, faces=mesh.faces)


def carrier_of_template(points: F64, template: ShapeModel) -> Carrier:
    """The carrier of a template deformed to points (P, 3) [mm] that lie near it, in its frame.

    The template's modes bring its surface near the points (closest points, alternating with
    coefficients and a similarity); the spline does the rest.
    """
    surface, _ = deform_template(template, points)
    return carrier_of_mesh(points, surface)


def spline_weights(centers: F64, points: F64, *, spare_mm: float = _SPARE_MM) -> F64:
    """Weights (N, P) that interpolate values at centers (P, 3) to points (N, 3).

    `spare_mm` on the kernel's diagonal lets values that contradict each other at nearly the same
    place be averaged instead of being met.
    """
    count = len(centers)
    middle = centers.mean(axis=0)
    size = float(np.linalg.norm(centers - middle, axis=1).max())
    affine = _affine((centers - middle) / max(size, 1e-12))
    if count < 5 or np.linalg.svd(affine, compute_uv=False)[-1] < 1e-3:
        raise InputError(f"needed points spread in three dimensions, found {count} that are not")
    system = np.zeros((count + 4, count + 4))
    system[:count, :count] = spare_mm * np.eye(count) - _distances(centers, centers)
    system[:count, count:] = affine
    system[count:, :count] = affine.T
    wanted = np.hstack([-_distances(points, centers), _affine((points - middle) / size)])
    return np.ascontiguousarray(np.linalg.solve(system, wanted.T)[:count].T)


def deform_template(template: ShapeModel, points: F64) -> tuple[Mesh, float]:
    """The template brought to points (P, 3) that lie near it, and how far they then are from it.

    Returns
    -------
    mesh, rms_mm
        In the frame of the points; root mean square distance of the points to it [mm].
    """
    faces = template.faces
    mean = template.mean.astype(np.float64)
    modes = template.modes.astype(np.float64)
    vertices = mean
    for step in range(_FIT_STEPS):
        noise_mm = np.interp(step / (_FIT_STEPS - 1), (0.0, 1.0), _FIT_NOISE_MM)
        found, _, face = _tree(Mesh(vertices=vertices.astype(np.float32), faces=faces)).find(points)
        corners = faces[face]
        bary = _barycentric(found, vertices[corners])
        pose = umeyama(found, points)
        rest = np.einsum("pc,pcx->px", bary, mean[corners])
        basis = np.einsum("pc,kpcx->kpx", bary, modes[:, corners]).reshape(len(modes), -1)
        target = (pose.apply_inverse(points) - rest).reshape(-1)
        normal = basis @ basis.T + noise_mm**2 * np.eye(len(modes))
        b = np.linalg.solve(normal, basis @ target)
        vertices = pose.apply(mean + np.tensordot(b, modes, axes=1))
        mean, modes = pose.apply(mean), pose.scale * modes @ pose.rotation.T
    surface = Mesh(vertices=vertices.astype(np.float32), faces=faces)
    _, distances_mm, _ = _tree(surface).find(points)
    return surface, float(np.sqrt(np.mean(np.square(distances_mm))))


def _tree(mesh: Mesh) -> ClosestPointTree:
    return ClosestPointTree(vertices=mesh.vertices, faces=mesh.faces)


def _barycentric(points: F64, corners: F64) -> F64:
    """Weights (P, 3) of the corners (P, 3, 3) of the triangles that points (P, 3) lie in."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    normal = np.cross(b - a, c - a)
    area = np.maximum(np.einsum("px,px->p", normal, normal), 1e-12)
    u = np.einsum("px,px->p", np.cross(c - b, points - b), normal) / area
    v = np.einsum("px,px->p", np.cross(a - c, points - c), normal) / area
    return np.stack([u, v, 1.0 - u - v], axis=1)


def _affine(points: F64) -> F64:
    return np.hstack([np.ones((len(points), 1)), points])


def _distances(a: F64, b: F64) -> F64:
    squared = np.sum(a**2, axis=1)[:, None] + np.sum(b**2, axis=1) - 2.0 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)))
