"""Rigid alignment of surfaces that are not in correspondence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from osteoform._core import ClosestPointTree
from osteoform._distance import sample_surface
from osteoform._types import F64, Mesh
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import face_normals

_ROUNDS = 60
_STILL_MM = 1e-3
Find = Callable[[F64], tuple[F64, F64]]


def signed_distances(points: F64, surface: Mesh) -> F64:
    """Distance (P,) [mm] of points (P, 3) to a surface, negative inside."""
    nearest, normal = nearest_on(surface)(points)
    offset = points - nearest
    side = np.where(np.einsum("ij,ij->i", offset, normal) < 0.0, -1.0, 1.0)
    return np.asarray(side * np.linalg.norm(offset, axis=1))


def nearest_on(surface: Mesh) -> Find:
    """Finds, for points (P, 3), the nearest points (P, 3) and the outward unit normals there."""
    tree = ClosestPointTree(vertices=surface.vertices, faces=surface.faces)
    normals = face_normals(surface.vertices.astype(np.float64), surface.faces)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-30

    def find(points: F64) -> tuple[F64, F64]:
        nearest, _, face = tree.find(points)
        return np.asarray(nearest), normals[face]

    return find


def align_surface(moving: Mesh, fixed: Mesh, *, num_points: int = 3000) -> F64:
    """The rigid transform (4, 4) that brings one surface closest to another.

    Least squares of the distances along the normals, from each surface to the other (Y. Chen
    and G. Medioni, Image Vis. Comput. 10 (1992) 145). Both bones are of the same side and
    within some 30 degrees of each other; where they lie does not matter.
    """
    p, q = sample_surface(moving, num_points), sample_surface(fixed, num_points)
    on_fixed, on_moving = nearest_on(fixed), nearest_on(moving)
    pose = np.eye(4)
    pose[:3, 3] = q.mean(axis=0) - p.mean(axis=0)
    for _ in range(_ROUNDS):
        inverse = np.asarray(np.linalg.inv(pose), np.float64)
        ahead = apply_rigid(pose, p)
        near_ahead, normal_ahead = on_fixed(ahead)
        back, normal_back = on_moving(apply_rigid(inverse, q))
        source = np.concatenate([ahead, apply_rigid(pose, back)])
        target = np.concatenate([near_ahead, q])
        normal = np.concatenate([normal_ahead, normal_back @ pose[:3, :3].T])
        step = _normal_step(source, target, normal)
        pose = step @ pose
        if np.abs(apply_rigid(step, source) - source).max() < _STILL_MM:
            break
    return pose


def settle_points(points: F64, surface: Mesh, *, start: F64) -> F64:
    """The rigid transform (4, 4) that brings points (P, 3) [mm] closest to a surface.

    As `align_surface`, but in one direction, for points of a part of a bone, and from the `start`
    (4, 4): of all places where the points fit, the one nearest to it.
    """
    on_surface = nearest_on(surface)
    pose = start
    for _ in range(_ROUNDS):
        moved = apply_rigid(pose, points)
        step = _normal_step(moved, *on_surface(moved))
        pose = step @ pose
        if np.abs(apply_rigid(step, moved) - moved).max() < _STILL_MM:
            break
    return pose


def _normal_step(source: F64, target: F64, normal: F64) -> F64:
    """The small motion (4, 4) of source points that best closes the gaps along the normals."""
    middle = source.mean(axis=0)
    rows = np.hstack([np.cross(source - middle, normal), normal])
    gap = np.einsum("ij,ij->i", target - source, normal)
    turn, shift = np.split(np.linalg.lstsq(rows, gap, rcond=None)[0], 2)
    moved = source + np.cross(turn, source - middle) + shift
    return rigid_transform(source, moved)
