"""Bend a surface onto another one: closest points against bending stiffness, from stiff to soft.

In the manner of B. Amberg et al., Optimal Step Nonrigid ICP, 2007, with the bending energy of the
displacement (the squared cotangent Laplacian) as stiffness, whose softness is a length: shorter
waves than that are not followed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from osteoform._types import Mesh
from osteoform.modeling._scipy import sparse
from osteoform.modeling.surface import F64, I32, face_normals, triangle_quality, vertex_areas
from osteoform.modeling.surface_fit import Contacts, Target

_STEPS = 14
_NUM_POINTS = 3000
# Lengths of the waves that are followed, over 2 pi: from a share of the bone's size to a share of
# its edges.
_FIRST_OF_SIZE, _LAST_OF_EDGE = 0.08, 0.5
# Both surfaces are whole: what is far is not yet there rather than wrong.
_SCALE_MM = 8.0
_HEALTHY = 0.25
_RELAXATIONS = 15


def deform(vertices: F64, faces: I32, bone: Mesh) -> F64:
    """Bend vertices (N, 3) of a closed surface onto a bone that they already lie near."""
    target = Target(bone, num_points=_NUM_POINTS)
    stiffness = bending_energy(vertices, faces)
    areas = vertex_areas(vertices, faces)
    per_point = float(areas.sum()) / len(target.points)
    lengths = np.geomspace(
        _FIRST_OF_SIZE * np.sqrt(areas.sum()), _LAST_OF_EDGE * _edge_length(vertices, faces), _STEPS
    )
    rest, current = vertices, vertices
    for length in lengths:
        contacts = target.contacts(current, faces, scale_mm=_SCALE_MM)
        system, rhs = _data(contacts, current, rest, target, areas, per_point)
        factor = sparse().linalg.splu((system + length**4 * stiffness).tocsc())
        current = rest + factor.solve(rhs)
    return _settle(current, faces, target)


def bending_energy(vertices: F64, faces: I32) -> Any:
    """Sparse (N, N) matrix of the integral [1/mm^2] of the squared Laplacian of a displacement."""
    laplacian = _cotangents(vertices, faces)
    inverse = sparse().diags(1.0 / np.maximum(vertex_areas(vertices, faces), 1e-9))
    return laplacian.T @ inverse @ laplacian


def _data(
    contacts: Contacts, current: F64, rest: F64, target: Target, areas: F64, per_point: float
) -> tuple[Any, F64]:
    """Weights (N, N) and right-hand side (N, 3) that pull the displacement from rest.

    A vertex is pulled to the target's tangent plane and not along it.
    """
    matrices = sparse()
    count = len(current)
    gap = np.einsum("ij,ij->i", contacts.on_target - current, contacts.normals)
    wanted = current + gap[:, None] * contacts.normals - rest
    weight = contacts.weights * areas + 1e-6 * areas
    index = np.repeat(np.arange(len(contacts.corners)), 3)
    shares = matrices.csr_matrix(
        (contacts.shares.reshape(-1), (index, contacts.corners.reshape(-1))),
        shape=(len(contacts.corners), count),
    )
    here = shares @ current
    gap_back = np.einsum("ij,ij->i", target.points - here, target.point_normals)
    wanted_back = here + gap_back[:, None] * target.point_normals - shares @ rest
    back = contacts.point_weights * per_point
    weighted = shares.multiply(back[:, None]).tocsr()
    system = matrices.diags(weight) + shares.T @ weighted
    return system, weight[:, None] * wanted + weighted.T @ wanted_back


def _settle(vertices: F64, faces: I32, target: Target) -> F64:
    """Put every vertex on the target, and slide those of thin triangles until they are healthy."""
    current = _onto(vertices, vertices, faces, target)
    for _ in range(_RELAXATIONS):
        poor = triangle_quality(current, faces) < _HEALTHY
        poor |= _folded(current, faces, target)
        if not poor.any():
            break
        mask = np.zeros(len(current), dtype=np.bool_)
        mask[faces[poor]] = True
        middle = _ring_means(current, faces)
        slid = np.where(mask[:, None], 0.5 * (current + middle), current)
        current = _onto(slid, slid, faces, target)
    return current


def _onto(points: F64, moving: F64, faces: I32, target: Target) -> F64:
    contacts = target.contacts(moving, faces, scale_mm=_SCALE_MM)
    # What does not face the target stays: the other side of a thin part is no place to go.
    facing = np.clip(4.0 * contacts.weights, 0.0, 1.0)[:, None]
    return np.asarray(points + facing * (contacts.on_target - points))


def _folded(vertices: F64, faces: I32, target: Target) -> Any:
    middle = vertices[faces].mean(axis=1)
    normals = face_normals(vertices, faces)
    there = target.normals_near(middle)
    return np.einsum("ij,ij->i", normals, there) < 0.0


def _ring_means(vertices: F64, faces: I32) -> F64:
    total = np.zeros_like(vertices)
    count = np.zeros(len(vertices))
    for k in range(3):
        np.add.at(total, faces[:, k], vertices[faces[:, (k + 1) % 3]])
        np.add.at(count, faces[:, k], 1.0)
    return np.asarray(total / count[:, None])


def _edge_length(vertices: F64, faces: I32) -> float:
    edges = vertices[faces] - vertices[np.roll(faces, -1, axis=1)]
    return float(np.linalg.norm(edges, axis=2).mean())


def _cotangents(vertices: F64, faces: I32) -> Any:
    """Cotangent Laplacian (N, N), integrated; obtuse corners count a little, never against."""
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, o = (faces[:, (k + s) % 3] for s in range(3))
        u, v = vertices[i] - vertices[o], vertices[j] - vertices[o]
        dot = np.einsum("ij,ij->i", u, v)
        cross = np.linalg.norm(np.cross(u, v), axis=1)
        weight = np.maximum(0.5 * dot / np.maximum(cross, 1e-12), 0.01)
        rows += [i, j, i, j]
        columns += [j, i, i, j]
        values += [-weight, -weight, weight, weight]
    n = len(vertices)
    triplets = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse().csr_matrix(triplets, shape=(n, n))
