"""From the implicit femur to triangles, and the checks a template must pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from osteoform._errors import MissingExtraError
from osteoform._types import F64, I32

Slope = Callable[[F64], tuple[F64, F64]]


def iso_surface(
    field: Callable[[F64], F64], low: F64, high: F64, voxel_mm: float
) -> tuple[F64, I32]:
    """Largest piece of the zero set in the box `low`..`high` [mm], by marching cubes, outward."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise MissingExtraError("building an atlas bone needs osteoform[ssm]") from error
    axes = [np.arange(a, b + voxel_mm, voxel_mm) for a, b in zip(low, high, strict=True)]
    slabs = []
    for z in np.array_split(axes[2], max(1, len(axes[2]) // 16)):
        grid = np.stack(np.meshgrid(axes[0], axes[1], z, indexing="ij"), axis=-1)
        slabs.append(field(grid.reshape(-1, 3)).reshape(grid.shape[:3]))
    volume = np.concatenate(slabs, axis=2)
    vertices, faces, _, _ = marching_cubes(volume, 0.0, spacing=(voxel_mm,) * 3)
    vertices = np.asarray(vertices, dtype=np.float64) + low
    return largest_piece(vertices, outward(vertices, np.asarray(faces, dtype=np.int32)))


def outward(vertices: F64, faces: I32) -> I32:
    """Faces wound so that the volume is positive."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    inside_out = np.einsum("ij,ij->", a, np.cross(b, c)) < 0
    return np.ascontiguousarray(faces[:, ::-1] if inside_out else faces)


def largest_piece(vertices: F64, faces: I32) -> tuple[F64, I32]:
    """The connected piece with most faces, with compact numbering."""
    count = len(vertices)
    ones = np.ones(len(faces))
    links = coo_matrix((ones, (faces[:, 0], faces[:, 1])), shape=(count, count))
    links += coo_matrix((ones, (faces[:, 1], faces[:, 2])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    piece = np.argmax(np.bincount(label[faces[:, 0]]))
    kept = faces[label[faces[:, 0]] == piece]
    used, renumbered = np.unique(kept, return_inverse=True)
    return vertices[used], renumbered.reshape(kept.shape).astype(np.int32)


def to_surface(points: F64, slope: Slope, *, steps: int = 4, longest_mm: float = 3.0) -> F64:
    """Newton steps along the gradient onto the zero set."""
    for _ in range(steps):
        gradient, value = slope(points)
        square = np.maximum(np.einsum("ij,ij->i", gradient, gradient), 0.3)
        move = (-value / square)[:, None] * gradient
        length = np.linalg.norm(move, axis=1, keepdims=True)
        points = points + move * np.minimum(1.0, longest_mm / np.maximum(length, 1e-9))
    return points


def is_closed_manifold(faces: I32) -> bool:
    """Every edge has one face on each side, and every vertex one fan."""
    starts = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {(int(a), int(b)) for a, b in starts}
    if len(forward) != len(starts) or any((b, a) not in forward for a, b in forward):
        return False
    vertices = int(faces.max()) + 1
    return vertices - len(starts) // 2 + len(faces) == 2
