"""Fitting modes and a rigid pose to a known shape in correspondence."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from osteoform._rotation import rotation
from osteoform.modeling.procrustes import apply_rigid, rigid_transform
from osteoform.modeling.surface import F64


@dataclass(frozen=True, kw_only=True)
class VertexFit:
    """Coefficients (K,), fitted vertices (N, 3) and the target (N, 3), both in the model frame."""

    b: F64
    fitted: F64 = field(repr=False)
    target: F64 = field(repr=False)


def fit_vertices(
    mean: F64,
    modes: F64,
    target: F64,
    *,
    normals: F64,
    normal_noise_mm: float = 0.5,
    slide_noise_mm: float = 5.0,
    iterations: int = 4,
) -> VertexFit:
    """Most probable coefficients and pose for a target in correspondence, with b ~ N(0, I).

    Sliding along the surface hardly changes a bone, and correspondence is never exact: so
    displacement along the normal (N, 3) counts with its own, smaller noise.
    """
    num_modes = len(modes)
    rows = [_rows(mode, normals, normal_noise_mm, slide_noise_mm) for mode in modes]
    basis = np.array(rows).reshape(num_modes, 4 * len(mean))
    shape_normal = basis @ basis.T + np.eye(num_modes)
    target = apply_rigid(rigid_transform(target, mean), target)
    b = np.zeros(num_modes)
    for _ in range(iterations):
        pose = np.vstack(
            [
                _rows(column, normals, normal_noise_mm, slide_noise_mm)
                for column in _pose_columns(target)
            ]
        )
        residual = _rows(target - mean, normals, normal_noise_mm, slide_noise_mm)
        cross = basis @ pose.T
        normal = np.block([[shape_normal, -cross], [-cross.T, pose @ pose.T]])
        rhs = np.concatenate([basis @ residual, -pose @ residual])
        solution = np.linalg.solve(normal, rhs)
        b, step = solution[:num_modes], solution[num_modes:]
        target = target @ rotation(step[:3]).T + step[3:]
        if float(np.abs(step).max()) < 1e-6:
            break
    return VertexFit(b=b, fitted=mean + np.tensordot(b, modes, axes=1), target=target)


def _rows(displacement: F64, normals: F64, normal_noise_mm: float, slide_noise_mm: float) -> F64:
    along = np.einsum("ij,ij->i", displacement, normals) / normal_noise_mm
    return np.concatenate([displacement.reshape(-1) / slide_noise_mm, along])


def _pose_columns(points: F64) -> list[F64]:
    turns = [np.cross(axis, points) for axis in np.eye(3)]
    return turns + [np.broadcast_to(axis, points.shape) for axis in np.eye(3)]
