"""Outlines of ellipsoids and the five numbers they are compared by.

Centres and matrices of squared semi-axes carry leading axes (...): one call serves many ellipsoids
and, for derivatives, many motions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reference.views import Cone, Slot, View

F64 = NDArray[np.float64]


def project_ellipsoid(view: View, center: F64, shape: F64) -> tuple[F64, F64]:
    """Ellipse centres (..., 2) [px] and shapes (..., 2, 2) [px^2].

    Cone: exact, by the dual conic of the dual quadric A - c c^T (Hartley and Zisserman 2004, sec.
    8.3). Slot: to first order, J A J^T.
    """
    zero = np.zeros_like(center), np.zeros_like(shape)
    c, A, _, _ = project_with_motion(view, center, shape, *zero)
    return c, A


def project_with_motion(
    view: View, center: F64, shape: F64, center_motion: F64, shape_motion: F64
) -> tuple[F64, F64, F64, F64]:
    """The ellipse and its derivative for motions of the ellipsoid in the view's world."""
    if isinstance(view, Cone):
        return _cone(view, center, shape, center_motion, shape_motion)
    assert isinstance(view, Slot)
    return _slot(view, center, shape, center_motion, shape_motion)


def _cone(
    view: Cone, center: F64, shape: F64, dcenter: F64, dshape: F64
) -> tuple[F64, F64, F64, F64]:
    R = view.rotation
    c = center @ R.T + view.translation
    dc = dcenter @ R.T
    D = R @ shape @ R.T - _outer(c, c)
    dD = R @ dshape @ R.T - _outer(dc, c) - _outer(c, dc)
    w, dw = D[..., 2, 2, None], dD[..., 2, 2, None]
    e = D[..., :2, 2] / w
    de = (dD[..., :2, 2] - e * dw) / w
    ratio = D[..., :2, :2] / w[..., None]
    dratio = (dD[..., :2, :2] - ratio * dw[..., None]) / w[..., None]
    E = _outer(e, e) - ratio
    dE = _outer(de, e) + _outer(e, de) - dratio
    f, F = view.focal_px, np.outer(view.focal_px, view.focal_px)
    return e * f + view.principal_px, E * F, de * f, dE * F


def _slot(
    view: Slot, center: F64, shape: F64, dcenter: F64, dshape: F64
) -> tuple[F64, F64, F64, F64]:
    flat = center.reshape(-1, 3)
    J = view.jacobian(flat).reshape(*center.shape[:-1], 2, 3)
    px = view.project(flat).reshape(*center.shape[:-1], 2)
    x = center @ view.rotation.T + view.translation
    dx = dcenter @ view.rotation.T
    z = x[..., 2]
    du = (-dx[..., 2] / z**2)[..., None] * view.rotation[0]
    du = (
        du + (2.0 * x[..., 0] * dx[..., 2] / z**3 - dx[..., 0] / z**2)[..., None] * view.rotation[2]
    )
    dJ = np.stack([view.focal_px * du, np.zeros_like(du)], axis=-2)
    Jt = J.swapaxes(-1, -2)
    cross = dJ @ shape @ Jt
    dpx = np.einsum("...ij,...j->...i", J, dcenter)
    return px, J @ shape @ Jt, dpx, J @ dshape @ Jt + cross + cross.swapaxes(-1, -2)


def ellipse_vector(center: F64, shape: F64, semi_axis_px: F64) -> F64:
    """Five numbers (..., 5) that all read as pixels; smooth through circles."""
    scale = 0.5 / semi_axis_px
    parts = [
        center[..., 0],
        center[..., 1],
        scale * shape[..., 0, 0],
        scale * shape[..., 1, 1],
        scale * np.sqrt(2.0) * shape[..., 0, 1],
    ]
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def mean_semi_axis(shape: F64) -> F64:
    """Of ellipses (..., 2, 2) [px]."""
    return np.maximum(np.linalg.det(shape), 1e-12) ** 0.25


def _outer(a: F64, b: F64) -> F64:
    return a[..., :, None] * b[..., None, :]
