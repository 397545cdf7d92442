"""Fit a shape model to a surface without correspondence: iterated closest points, b ~ N(0, I)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from osteoform import ShapeModel
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import vertex_normals

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class SurfaceFit:
    """Coefficients (K,), fitted vertices (N, 3), and the target carried to them (P, 3)."""

    b: F64
    vertices: F64
    target: F64


def fit_surface(model: ShapeModel, target: F64, *, iterations: int = 12) -> SurfaceFit:
    """Fit to vertices (P, 3) of a bone near the model's axes; plane distances, noise 1 mm.

    Each target vertex pulls the tangent plane of its closest model vertex.
    """
    mean = model.mean.astype(np.float64)
    modes = model.modes.astype(np.float64)
    points = _start(target, mean)
    b = np.zeros(len(modes))
    for step in range(iterations):
        vertices = mean + np.tensordot(b, modes, axes=1)
        normals = vertex_normals(vertices, model.faces)
        distance, near = cKDTree(vertices).query(points)
        n = normals[near]
        residual = np.einsum("ij,ij->i", points - vertices[near], n)
        noise = max(1.0, 4.0 - step)
        weight = 1.0 / (1.0 + distance / (4 * noise)) / noise**2
        shape = -np.einsum("knc,nc->nk", modes[:, near], n)
        rows = np.hstack([shape, np.cross(points, n), n])
        normal = (rows * weight[:, None]).T @ rows
        normal[: len(b), : len(b)] += np.eye(len(b))
        rhs = (rows * weight[:, None]).T @ residual
        rhs[: len(b)] += b
        change = -np.linalg.solve(normal, rhs)
        b = b + change[: len(b)]
        turn, shift = change[len(b) : len(b) + 3], change[len(b) + 3 :]
        moved = points + np.cross(turn, points) + shift
        points = apply_rigid(rigid_transform(points, moved), points)
    return SurfaceFit(b, mean + np.tensordot(b, modes, axes=1), points)


def surface_distance(points: F64, vertices: F64, faces: NDArray[np.int32]) -> F64:
    """Distance (P,) of points (P, 3) to a surface, taken at dense samples of its triangles."""
    corners = vertices[faces]
    steps = [(i / 4, j / 4) for i in range(5) for j in range(5 - i)]
    dense = [
        c0 * corners[:, 0] + c1 * corners[:, 1] + (1 - c0 - c1) * corners[:, 2] for c0, c1 in steps
    ]
    distance, _ = cKDTree(np.concatenate(dense)).query(points)
    return np.asarray(distance)


def _start(target: F64, mean: F64) -> F64:
    points = target - (target.max(axis=0) + target.min(axis=0)) / 2
    points = points + (mean.max(axis=0) + mean.min(axis=0)) / 2
    tree = cKDTree(mean)
    for _ in range(30):
        _, near = tree.query(points)
        points = apply_rigid(rigid_transform(points, mean[near]), points)
    return points
