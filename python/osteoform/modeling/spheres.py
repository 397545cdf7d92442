"""Spheres on parts of a bone: the femoral head and the posterior condyles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import InputError
from osteoform.modeling.surface import F64, Surface

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class SpherePatch:
    """A part of the surface that is nearly a sphere: centre (3,), radius, vertex mask (N,)."""

    center: F64
    radius_mm: float
    mask: Mask = field(repr=False)


def fit_sphere(points: F64, weights: F64) -> tuple[F64, float]:
    """Centre and radius of the sphere with the least weighted squared distance to points (n, 3).

    Starts from the algebraic fit and takes Gauss-Newton steps on the distances; a part of a
    sphere as small as a cap of 60 degrees still determines it.
    """
    if len(points) < 4:
        raise InputError(f"a sphere needs 4 points, got {len(points)}")
    root = np.sqrt(weights / weights.sum())[:, None]
    middle = points.mean(axis=0)
    x = points - middle
    design = np.hstack([2.0 * x, np.ones((len(x), 1))])
    rhs = np.einsum("ij,ij->i", x, x)
    solution = _least_squares(design * root, rhs * root[:, 0])
    center = solution[:3]
    radius = float(np.sqrt(max(solution[3] + center @ center, 1e-12)))
    for _ in range(20):
        offset = x - center
        distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
        design = np.hstack([offset / distance[:, None], np.ones((len(x), 1))])
        step = _least_squares(design * root, (distance - radius) * root[:, 0])
        center = center + step[:3]
        radius += float(step[3])
        if float(np.abs(step).max()) < 1e-7:
            break
    return center + middle, radius


def _least_squares(design: F64, rhs: F64) -> F64:
    """Solve by the normal equations: centred points keep four unknowns well apart."""
    return np.asarray(np.linalg.solve(design.T @ design, design.T @ rhs), dtype=np.float64)


def grow_sphere(
    surface: Surface,
    center: F64,
    radius_mm: float,
    accept: Callable[[F64], Mask],
    what: str,
) -> SpherePatch:
    """Grow a sphere patch from a first guess.

    A vertex belongs when it lies near the sphere, faces outward from its centre, and `accept`
    takes its direction (N, 3) from the centre. The tolerance narrows from 25 % to 8 % of the
    radius while the sphere is fitted again.
    """
    mask = np.zeros(len(surface.vertices), dtype=np.bool_)
    for tolerance in (0.25, 0.2, 0.15, 0.12, 0.1, 0.08, 0.08, 0.08, 0.08):
        offset = surface.vertices - center
        distance = np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
        direction = offset / distance[:, None]
        facing = np.einsum("ij,ij->i", surface.normals, direction) > 0.92
        near = np.abs(distance - radius_mm) < tolerance * radius_mm
        mask = facing & near & accept(direction)
        if int(mask.sum()) < 8:
            raise InputError(f"no {what} found: is the bone right-sided, whole and z-up?")
        center, radius_mm = fit_sphere(surface.vertices[mask], surface.areas[mask])
    return SpherePatch(center=center, radius_mm=radius_mm, mask=mask)


def center_weights(surface: Surface, patch: SpherePatch) -> F64:
    """Vertex weights (N,) of the sphere's centre.

    The smallest weights (relative to the vertex areas) that sum to one and give the centre; they
    carry it exactly along any affine change of the patch.
    """
    scale = np.where(patch.mask, surface.areas, 0.0)
    offsets = np.hstack([np.ones((len(scale), 1)), surface.vertices - patch.center])
    gram = offsets.T @ (offsets * scale[:, None])
    solved = np.linalg.solve(gram, np.array([1.0, 0.0, 0.0, 0.0]))
    return np.asarray(scale * (offsets @ solved), dtype=np.float64)
