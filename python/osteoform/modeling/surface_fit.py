"""Fit a shape model to a bone's surface in 3D, without correspondence.

Iterated closest points, both ways, with distances to planes (Y. Chen and G. Medioni, 1992), solved
for coefficients and pose together. The pose moves the target: the model stays in its frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._distance import sample_surface
from osteoform._shape_model import ShapeModel
from osteoform._types import Mesh
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import F64, I32, vertex_normals

_NUM_POINTS = 2000
_ITERATIONS = 12
# Half of the residuals' scale, from first to last: far-off parts must pull at first.
_FIRST_MM, _LAST_MM = 8.0, 1.0
_NOISE_MM = 1.0
_FACING = 0.2  # cosine between the normals of two points that may be the same
_SIZE_SD = 0.1  # of a bone outside the template's range of sizes


@dataclass(frozen=True, kw_only=True)
class SurfaceFit:
    """A model fitted to a target.

    Attributes
    ----------
    vertices
        The model's (N, 3) in its own frame.
    target
        Moved to the model's frame.
    cost
        Squared distances over their noise, plus the squared coefficients.
    """

    vertices: F64 = field(repr=False)
    target: Mesh = field(repr=False)
    cost: float


@dataclass(frozen=True)
class Contacts:
    """Closest points both ways between a moving surface and a fixed one.

    Attributes
    ----------
    on_target, normals, weights
        Of each moving vertex: the closest point (N, 3), the target's normal (N, 3), and how much
        it counts (N,), 0 to 1.
    corners, shares
        Of each point of the target: the vertices (P, 3) of the closest moving triangle and their
        barycentric weights (P, 3).
    points_weights
        How much each point of the target counts (P,).
    """

    on_target: F64
    normals: F64
    weights: F64
    corners: I32
    shares: F64
    point_weights: F64


class Target:
    """A bone's surface that closest points are asked of, fixed in its own frame."""

    def __init__(self, mesh: Mesh, *, num_points: int = _NUM_POINTS) -> None:
        self.mesh = mesh
        self.tree = ClosestPointTree(vertices=mesh.vertices, faces=mesh.faces)
        vertices = mesh.vertices.astype(np.float64)
        self.vertex_normals = vertex_normals(vertices, mesh.faces)
        self.points, self.point_normals = _sampled(mesh, self.vertex_normals, num_points)

    def contacts(self, vertices: F64, faces: I32, *, scale_mm: float) -> Contacts:
        """Closest points between a moving surface in the target's frame and the target.

        Far pairs lose weight by Geman and McClure's rule, pairs that do not face alike count
        nothing.
        """
        normals = vertex_normals(vertices, faces)
        on_target, distance, face = self.tree.find(vertices)
        target_normals = self._normals_at(on_target, face)
        weights = _trust(distance, scale_mm) * _facing(normals, target_normals)
        tree = ClosestPointTree(vertices=vertices.astype(np.float32), faces=faces)
        nearest, away, hit = tree.find(self.points)
        corners = faces[hit]
        shares = barycentric(nearest, vertices[corners])
        there = np.einsum("pk,pkc->pc", shares, normals[corners])
        point_weights = _trust(away, scale_mm) * _facing(there, self.point_normals)
        return Contacts(on_target, target_normals, weights, corners, shares, point_weights)

    def normals_near(self, points: F64) -> F64:
        """The target's unit normals (P, 3) at the places closest to points (P, 3)."""
        on_target, _, face = self.tree.find(points)
        return self._normals_at(on_target, face)

    def _normals_at(self, points: F64, face: I32) -> F64:
        corners = self.mesh.faces[face]
        shares = barycentric(points, self.mesh.vertices[corners].astype(np.float64))
        return _unit(np.einsum("pk,pkc->pc", shares, self.vertex_normals[corners]))


def fit_surface(model: ShapeModel, target: Mesh) -> SurfaceFit:
    """Fit a model to a right-sided target (in mm) that lies near the model's axes and origin."""
    surface = Target(target)
    mean, modes = model.mean.astype(np.float64), model.modes.astype(np.float64)
    size = _SIZE_SD * (mean - mean.mean(axis=0))
    modes = np.concatenate([modes, size[None]])
    b = np.zeros(len(modes))
    model_from_target = np.eye(4)
    cost = np.inf
    for scale_mm in np.geomspace(_FIRST_MM, _LAST_MM, _ITERATIONS):
        vertices = mean + np.tensordot(b, modes, axes=1)
        target_from_model = np.asarray(np.linalg.inv(model_from_target), dtype=np.float64)
        contacts = surface.contacts(
            apply_rigid(target_from_model, vertices), model.faces, scale_mm=float(scale_mm)
        )
        rows, residual = _rows(surface, contacts, modes, vertices, model_from_target, model.faces)
        cost = float(residual @ residual + b @ b)
        step = _solve(rows, residual, b)
        b = b + step[: len(b)]
        motion = _moved(step[len(b) :])
        model_from_target = motion @ model_from_target
    moved = apply_rigid(model_from_target, target.vertices.astype(np.float64))
    return SurfaceFit(
        vertices=mean + np.tensordot(b, modes, axes=1),
        target=Mesh(vertices=np.ascontiguousarray(moved, np.float32), faces=target.faces),
        cost=cost,
    )


def barycentric(points: F64, corners: F64) -> F64:
    """Weights (P, 3) of points (P, 3) on triangles (P, 3, 3)."""
    ab, ac = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ap = points - corners[:, 0]
    d00, d01, d11 = (np.einsum("pc,pc->p", x, y) for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    d20, d21 = np.einsum("pc,pc->p", ap, ab), np.einsum("pc,pc->p", ap, ac)
    det = np.maximum(d00 * d11 - d01 * d01, 1e-12)
    v, w = (d11 * d20 - d01 * d21) / det, (d00 * d21 - d01 * d20) / det
    shares = np.clip(np.stack([1.0 - v - w, v, w], axis=1), 0.0, 1.0)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _rows(
    surface: Target,
    contacts: Contacts,
    modes: F64,
    vertices: F64,
    model_from_target: F64,
    faces: I32,
) -> tuple[F64, F64]:
    """Weighted rows of coefficients and pose (R, K + 6), and the distances (R,) to take away."""
    turn = model_from_target[:3, :3]
    on_target = apply_rigid(model_from_target, contacts.on_target)
    n = contacts.normals @ turn.T
    gap = np.einsum("ij,ij->i", vertices - on_target, n)
    shape = np.einsum("knc,nc->nk", modes, n)
    pose = -np.hstack([np.cross(on_target, n), n])
    first = np.hstack([shape, pose])

    points = apply_rigid(model_from_target, surface.points)
    m = surface.point_normals @ turn.T
    here = np.einsum("pk,pkc->pc", contacts.shares, vertices[contacts.corners])
    gap_back = np.einsum("ij,ij->i", here - points, m)
    projected = np.zeros((len(points), len(modes)))
    for k in range(3):
        part = modes[:, contacts.corners[:, k]]
        projected += contacts.shares[:, k, None] * np.einsum("kpc,pc->pk", part, m)
    second = np.hstack([projected, -np.hstack([np.cross(points, m), m])])

    weight = np.concatenate(
        [contacts.weights / len(vertices), contacts.point_weights / len(points)]
    )
    # As many independent distances as there are points on one side, whatever their number.
    root = np.sqrt(weight * _NUM_POINTS / 10.0)[:, None] / _NOISE_MM
    return root * np.vstack([first, second]), root[:, 0] * np.concatenate([gap, gap_back])


def _solve(rows: F64, residual: F64, b: F64) -> F64:
    normal = rows.T @ rows
    rhs = -rows.T @ residual
    count = len(b)
    normal[:count, :count] += np.eye(count)
    rhs[:count] -= b
    normal[count:, count:] += 1e-6 * np.trace(normal[count:, count:]) / 6.0 * np.eye(6)
    return np.asarray(np.linalg.solve(normal, rhs))


def _moved(step: F64) -> F64:
    """The rigid motion of a small turn and shift."""
    motion = rigid_transform(np.eye(3), np.eye(3) + np.cross(step[:3], np.eye(3)))
    motion[:3, 3] = step[3:]
    return motion


def _sampled(mesh: Mesh, normals: F64, count: int) -> tuple[F64, F64]:
    points = sample_surface(mesh, count)
    tree = ClosestPointTree(vertices=mesh.vertices, faces=mesh.faces)
    _, _, face = tree.find(points)
    corners = mesh.faces[face]
    shares = barycentric(points, mesh.vertices[corners].astype(np.float64))
    return points, _unit(np.einsum("pk,pkc->pc", shares, normals[corners]))


def _trust(distance: F64, scale_mm: float) -> F64:
    return np.asarray(1.0 / np.square(1.0 + np.square(distance / scale_mm)))


def _facing(a: F64, b: F64) -> F64:
    cosine = np.einsum("ij,ij->i", a, b)
    return np.asarray(np.clip((cosine - _FACING) / (1.0 - _FACING), 0.0, 1.0))


def _unit(vectors: F64) -> F64:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
