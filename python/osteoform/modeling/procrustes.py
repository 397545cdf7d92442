"""Rigid alignment of shapes in correspondence (generalised Procrustes analysis without scale).

Size is part of shape here: a reconstruction has a rigid pose only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from osteoform._errors import InputError
from osteoform.modeling.surface import F64


def rigid_transform(source: F64, target: F64) -> F64:
    """The (4, 4) rotation and translation that bring source (N, 3) closest to target (N, 3).

    Least squares by the singular value decomposition (W. Kabsch, 1976), never a reflection.
    """
    from_middle, to_middle = source.mean(axis=0), target.mean(axis=0)
    u, _, vt = np.linalg.svd((target - to_middle).T @ (source - from_middle))
    handed = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    transform = np.eye(4)
    transform[:3, :3] = u @ handed @ vt
    transform[:3, 3] = to_middle - transform[:3, :3] @ from_middle
    return transform


def apply_rigid(transform: F64, points: F64) -> F64:
    """Points (N, 3) moved by a (4, 4) transform."""
    return points @ transform[:3, :3].T + transform[:3, 3]


def align_rigid(shapes: ArrayLike, *, iterations: int = 10, tolerance_mm: float = 1e-4) -> F64:
    """Align shapes (S, N, 3) to their common mean.

    The mean keeps the axes of the shapes as they came: it is turned so that it lies as their
    unaligned average does, with its centroid at the origin.

    Returns
    -------
    (S, N, 3) float64 [mm]; every shape and the mean have their centroid at the origin.
    """
    given = np.asarray(shapes, dtype=np.float64)
    if given.ndim != 3 or given.shape[2] != 3 or len(given) == 0:
        raise InputError(f"shapes must have the shape (S, N, 3), got {given.shape}")
    centered = given - given.mean(axis=1, keepdims=True)
    upright = centered.mean(axis=0)
    mean = upright
    aligned = centered
    for _ in range(iterations):
        aligned = np.stack([apply_rigid(rigid_transform(s, mean), s) for s in centered])
        moved = aligned.mean(axis=0)
        moved = apply_rigid(rigid_transform(moved, upright), moved)
        change = float(np.sqrt(np.mean(np.sum((moved - mean) ** 2, axis=1))))
        mean = moved
        if change < tolerance_mm:
            break
    turn = rigid_transform(aligned.mean(axis=0), upright)
    aligned = aligned @ turn[:3, :3].T
    return np.ascontiguousarray(aligned - aligned.mean(axis=1, keepdims=True))
